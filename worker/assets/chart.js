// A line chart that fills its place, has the page's colours, and follows its theme and width.

import uPlot from "./vendor/uplot.js";
import { h } from "./dom.js";

/** The value of a CSS colour variable, as the theme resolves it. */
function colour(name) {
  const probe = h("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/**
 * A chart in `place`, `height` pixels high, with a line for each of `series`: {colour: CSS variable, fill: CSS variable}.
 * Ticks of the x axis are one of `xSteps` apart; `xTicks(values, step)` and `yTick(value)` label the axes.
 * `fromZero` has the y axis begin at zero. `onCursor(index)` tells what is pointed at, or null.
 * Returns {set(data), show(series, visible)}; data is [x, ...values].
 */
export function createChart(place, { series, height, xSteps, xTicks, yTick, fromZero = false, onCursor }) {
  let colours = {};
  const readColours = () => {
    const names = ["--chart-text", "--chart-grid", ...series.flatMap((line) => [line.colour, line.fill])];
    colours = Object.fromEntries(names.filter(Boolean).map((name) => [name, colour(name)]));
  };
  readColours();
  const axis = {
    stroke: () => colours["--chart-text"],
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
    grid: { stroke: () => colours["--chart-grid"], width: 1 },
    ticks: { show: false },
  };
  const width = () => Math.max(120, Math.floor(place.clientWidth));
  const plot = new uPlot({
    width: width(),
    height,
    legend: { show: false },
    padding: [8, 16, 0, 0],
    scales: { x: { time: false }, y: { range: (_, low, high) => yRange(low, high, fromZero) } },
    cursor: { drag: { x: false, y: false }, points: { size: 7 }, y: false },
    axes: [
      { ...axis, grid: { show: false }, size: 26, gap: 6, space: 70, incrs: xSteps, values: (_, ticks, __, ___, step) => xTicks(ticks, step) },
      { ...axis, size: 58, gap: 8, space: 34, values: (_, ticks) => ticks.map(yTick) },
    ],
    series: [{}, ...series.map((line) => ({
      stroke: () => colours[line.colour],
      fill: line.fill ? () => colours[line.fill] : undefined,
      width: 1.5,
      spanGaps: true,
      points: { size: 4 },
    }))],
    hooks: { setCursor: [(self) => onCursor?.(self.cursor.left >= 0 ? self.cursor.idx : null)] },
  }, [[], ...series.map(() => [])], place);

  const theme = () => {
    readColours();
    plot.redraw();
  };
  const resize = new ResizeObserver(() => {
    if (!place.isConnected) {
      // The place was taken out of the page.
      resize.disconnect();
      document.documentElement.removeEventListener("themechange", theme);
      plot.destroy();
    } else if (plot.width !== width()) {
      plot.setSize({ width: width(), height });
    }
  });
  resize.observe(place);
  document.documentElement.addEventListener("themechange", theme);
  return {
    set: (data) => plot.setData(data),
    show: (line, visible) => plot.setSeries(line + 1, { show: visible }),
  };
}

/** Distances between the ticks of a time axis, in seconds. */
export const TIME_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000,
  31_536_000,
];

/** From zero if so asked, or unless values are far from it or below. */
function yRange(low, high, fromZero) {
  if (low == null || high == null) return [0, 1];
  const spread = high - low;
  const zero = fromZero || (low >= 0 && low <= Math.max(spread * 2, high * 0.5));
  const room = (spread || Math.abs(high) || 1) * 0.1;
  return [zero ? 0 : low - room, high + room];
}
