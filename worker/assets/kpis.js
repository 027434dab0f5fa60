// A chart for each aggregate stage: one column at a time, a line for each of its busiest keys.

import { createChart, TIME_STEPS } from "./chart.js";
import { byId, emptyState, h, keyedList, setAttribute, setText } from "./dom.js";
import { count, keyText, plural, quantity, time, timeTicks, unitOf } from "./format.js";

const LINES = 8;

export function createKpis() {
  const root = byId("kpis");
  let show = null;
  return (state, changed) => {
    if (!changed.has("kpis") && !changed.has("progress")) return;
    if (changed.has("description")) {
      root.replaceChildren();
      show = keyedList(root, (node) => node.name, createCard);
    }
    const stages = state.description.nodes.filter((node) => node.role === "stage" && (node.kind === "aggregate" || state.kpis.has(node.name)));
    root.hidden = stages.length === 0;
    show(stages, state);
  };
}

function createCard(node) {
  const id = `kpi-${node.name}`;
  const note = h("p", { class: "note" });
  const choice = h("fieldset", { class: "choice", hidden: true });
  const body = h("div", { class: "kpi-body" });
  const card = h("section", { class: "panel", "aria-labelledby": id },
    h("header", {}, h("h2", { id }, node.name), note, choice), body);
  let chosen = null;
  let drawn = null;
  let graph = null;
  let last = null;

  const draw = () => {
    const column = last.columns.find((other) => other.name === chosen) ?? last.columns[0];
    chosen = column.name;
    graph ??= createGraph(body);
    graph(column, node);
  };
  choice.addEventListener("change", (event) => {
    chosen = event.target.value;
    draw();
  });

  const update = (_, state) => {
    const view = state.kpis.get(node.name);
    if (!view || view.columns.length === 0) {
      const hint = waitingFor(node, state);
      if (body.textContent !== `No window has closed yet${hint}`) body.replaceChildren(emptyState("No window has closed yet", hint));
      setText(note, node.detail);
      return;
    }
    if (view === drawn) return;
    drawn = last = view;
    setText(note, noteOf(node, view));
    showChoice(choice, node.name, view.columns.map((column) => column.name), chosen ?? view.columns[0].name);
    draw();
  };
  return { element: card, update };
}

function noteOf(node, { keysTotal, keysTotalExact, columns }) {
  const shown = columns[0].series.length;
  const total = keysTotalExact ? count(keysTotal) : `over ${count(keysTotal - 1)}`;
  const keys = shown < keysTotal ? `busiest ${shown} of ${total} keys` : plural(keysTotal, "key");
  return [node.detail, node.key.length > 0 ? keys : null].filter(Boolean).join(", ");
}

function waitingFor(node, { run, progress }) {
  if (run.status !== "running") return "The run is over.";
  if (progress.watermarkMs == null) return `${node.detail || "Its first window"}: waiting for the first event.`;
  return `${node.detail || "Its first window"}: the watermark has reached ${time(progress.watermarkMs, progress.watermarkMs)}.`;
}

function showChoice(fieldset, stage, names, chosen) {
  if (fieldset.dataset.names === names.join("\n")) return;
  fieldset.dataset.names = names.join("\n");
  fieldset.hidden = names.length < 2;
  fieldset.replaceChildren(h("legend", { class: "unseen" }, `Column of ${stage}`), ...names.map((name) =>
    h("label", {}, h("input", { type: "radio", name: `column-${stage}`, value: name, checked: name === chosen }), h("span", {}, name))));
}

/** A chart with its legend; a key keeps its colour as long as it is shown. */
function createGraph(body) {
  const slots = Array(LINES).fill(null);
  const hidden = new Set();
  const figure = h("div", { class: "plot", role: "img" });
  const legend = h("ul", { class: "legend" });
  let column = null;
  let unit = "";
  let pointed = null;
  body.replaceChildren(figure, legend);

  const chart = createChart(figure, {
    series: slots.map((_, slot) => ({ colour: `--line-${slot + 1}` })),
    height: 200,
    xSteps: TIME_STEPS,
    xTicks: (ticks, step) => timeTicks(ticks.map((seconds) => seconds * 1000), step * 1000),
    yTick: (value) => quantity(value, unit, true),
    onCursor: (index) => {
      pointed = index;
      if (column) drawLegend();
    },
  });

  const toggle = (id) => {
    if (!hidden.delete(id)) hidden.add(id);
    chart.show(slots.indexOf(id), !hidden.has(id));
    drawLegend();
  };
  const showEntries = keyedList(legend, idOf, (line) => createEntry(() => toggle(idOf(line))));
  const drawLegend = () => {
    const at = pointed ?? column.windowStartsMs.length - 1;
    showEntries(column.series, (line) => ({
      slot: slots.indexOf(idOf(line)),
      visible: !hidden.has(idOf(line)),
      value: quantity(line.values[at], unit),
    }));
  };

  return (next, node) => {
    column = next;
    unit = unitOf(column.name);
    const ids = column.series.map(idOf);
    slots.forEach((id, slot) => {
      if (id !== null && !ids.includes(id)) slots[slot] = null;
    });
    for (const id of ids) if (!slots.includes(id)) slots[slots.indexOf(null)] = id;
    const none = column.windowStartsMs.map(() => null);
    chart.set([
      column.windowStartsMs.map((ms) => ms / 1000),
      ...slots.map((id) => (id === null ? none : column.series[ids.indexOf(id)].values)),
    ]);
    slots.forEach((id, slot) => chart.show(slot, id !== null && !hidden.has(id)));
    setAttribute(figure, "aria-label", `${column.name} of ${node.name} over ${plural(none.length, "window")}; the list below has the latest values`);
    drawLegend();
  };
}

const idOf = (line) => line.key.join("\u0000");

function createEntry(toggle) {
  const name = h("span", { class: "legend-name" });
  const value = h("span", { class: "legend-value" });
  const button = h("button", { type: "button" }, h("span", { class: "swatch", "aria-hidden": "true" }), name, value);
  button.addEventListener("click", toggle);
  const update = (line, lookOf) => {
    const look = lookOf(line);
    setAttribute(button, "data-line", look.slot + 1);
    setAttribute(button, "aria-pressed", look.visible);
    setText(name, keyText(line.key));
    setText(value, look.value);
  };
  return { element: h("li", {}, button), update };
}
