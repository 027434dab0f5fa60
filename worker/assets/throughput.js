// Events per second over the last minutes.

import { createChart, TIME_STEPS } from "./chart.js";
import { byId, emptyState, h, setAttribute, setText } from "./dom.js";
import { bytes, compact, duration, rate } from "./format.js";

export function createThroughput() {
  const root = byId("throughput-body");
  const note = byId("throughput-note");
  let chart = null;
  let figure = null;
  let shown = null;
  let pointed = null;

  const tell = (state) => {
    const { throughput, progress } = state;
    if (pointed !== null && pointed < throughput.eventsPerSecond.length) {
      const ago = (throughput.eventsPerSecond.length - pointed) * throughput.stepMs;
      setText(note, `${rate(throughput.eventsPerSecond[pointed])} events/s, ${duration(ago)} ${end(state) === "now" ? "ago" : "before the end"}`);
    } else {
      const peak = Math.max(0, ...throughput.eventsPerSecond);
      const now = state.run.status === "running" ? `${bytes(progress.bytesPerSecond)}/s, ` : "";
      setText(note, `${now}peak ${rate(peak)} events/s`);
    }
  };

  return (state, changed) => {
    if (!["throughput", "progress", "run"].some((part) => changed.has(part))) return;
    shown = state;
    const { stepMs, eventsPerSecond } = state.throughput;
    if (state.progress.events === 0) {
      chart = null;
      const waited = sourcesOf(state.description);
      if (root.dataset.waits !== waited) root.replaceChildren(emptyState("No event yet", `Waiting for ${waited}.`));
      root.dataset.waits = waited;
      setText(note, "");
      return;
    }
    if (chart === null) {
      delete root.dataset.waits;
      figure = h("div", { class: "plot", role: "img" });
      root.replaceChildren(figure);
      chart = createChart(figure, {
        series: [{ colour: "--accent", fill: "--accent-fill" }],
        height: 176,
        xSteps: TIME_STEPS,
        xTicks: (ticks) => ticks.map((seconds) => (seconds === 0 ? end(shown) : `−${duration(-seconds * 1000)}`)),
        yTick: (value) => compact(value, true),
        fromZero: true,
        onCursor: (index) => {
          pointed = index;
          tell(shown);
        },
      });
    }
    const n = eventsPerSecond.length;
    chart.set([eventsPerSecond.map((_, i) => ((i + 1 - n) * stepMs) / 1000), eventsPerSecond]);
    setAttribute(figure, "aria-label",
      `Events per second over the last ${duration(n * stepMs)}; at the end ${rate(eventsPerSecond.at(-1) ?? 0)}`);
    tell(state);
  };
}

const end = ({ run }) => (run.status === "running" ? "now" : "end");

function sourcesOf({ nodes }) {
  return nodes.filter((node) => node.role === "source").map((node) => `${node.name} (${node.kind})`).join(", ");
}
