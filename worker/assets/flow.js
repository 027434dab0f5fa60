// The pipeline: a picture of its nodes with their rates, and the same figures as a table.

import { byId, h, keyedList, setAttribute, setText, svg } from "./dom.js";
import { compact, count, NONE, rate } from "./format.js";
import { layout, NODE, nodeId } from "./flow_layout.js";

const PAD = 6;
const SMALLEST = 0.85;

export function createFlow() {
  let picture = null;
  let table = null;
  return (state, changed) => {
    if (changed.has("description")) {
      const { nodes } = state.description;
      picture = createPicture(byId("flow-picture"), nodes);
      table = createTable(byId("flow-table"));
      setText(byId("flow-note"), summary(nodes));
    }
    if (!changed.has("progress") && !changed.has("run")) return;
    const figures = new Map(state.progress.nodes.map((node) => [`${node.isSink ? "sink " : ""}${node.name}`, node]));
    const over = state.run.status !== "running";
    picture(figures, over);
    table(state.description.nodes, figures, over);
  };
}

function summary(nodes) {
  const of = (role, one, many) => {
    const n = nodes.filter((node) => node.role === role).length;
    return n === 0 ? null : `${n} ${n === 1 ? one : many}`;
  };
  return [of("source", "source", "sources"), of("table", "table", "tables"), of("stage", "stage", "stages"), of("sink", "sink", "sinks")]
    .filter(Boolean).join(", ");
}

function createPicture(root, nodes) {
  const { width, height, places, edges } = layout(nodes);
  const lines = edges.map((edge) => ({ ...edge, path: svg("path", { class: "edge", d: curve(edge.points) }) }));
  const boxes = nodes.map((node) => createBox(node, places.get(nodeId(node))));
  const [w, t] = [width + 2 * PAD, height + 2 * PAD];
  const drawing = svg("svg", { viewBox: `${-PAD} ${-PAD} ${w} ${t}`, width: w, height: t, "aria-hidden": "true" },
    lines.map((line) => line.path), boxes.map((box) => box.element));
  // It shrinks with the page as long as its texts can be read; from then on it scrolls.
  drawing.style.minWidth = `${Math.round(w * SMALLEST)}px`;
  root.replaceChildren(drawing);
  return (figures, over) => {
    for (const { node, label } of boxes) setText(label, rateText(figures.get(nodeId(node)), over || node.role === "table"));
    for (const { from, path } of lines) {
      const rows = figures.get(from)?.rowsPerSecond ?? 0;
      // One pixel for a trickle, four for a flood.
      const width = over || rows < 0.05 ? 1.25 : Math.min(4, 1.25 + Math.log10(1 + rows) * 0.4);
      setAttribute(path, "stroke-width", width.toFixed(2));
      setAttribute(path, "data-flows", !over && rows >= 0.05 ? "" : null);
    }
  };
}

/** The rate; or the total, where a rate says little. */
function rateText(figures, total) {
  if (!figures) return "";
  return total ? compact(figures.rowsOut) : `${rate(figures.rowsPerSecond)}/s`;
}

function curve(points) {
  const [first, ...rest] = points;
  let d = `M${first.x} ${first.y}`;
  let last = first;
  for (const point of rest) {
    const bend = (last.x + point.x) / 2;
    d += ` C${bend} ${last.y} ${bend} ${point.y} ${point.x} ${point.y}`;
    last = point;
  }
  return d;
}

function createBox(node, { x, y }) {
  const label = svg("text", { class: "box-rate", x: NODE.width - 10, y: 34, "text-anchor": "end" });
  const element = svg("g", { class: "box", "data-role": node.role, transform: `translate(${x} ${y})` },
    svg("title", {}, [node.name, node.kind, node.detail].filter(Boolean).join(" · ")),
    svg("rect", { width: NODE.width, height: NODE.height, rx: 7 }),
    svg("text", { class: "box-name", x: 12, y: 18 }, shorten(node.name, 21)),
    svg("text", { class: "box-kind", x: 12, y: 34 }, node.kind), label);
  return { element, node, label };
}

const shorten = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

const TITLES = ["Name", "Kind", "", "Rows in", "Rows out", "Rows out/s", "Late", "Dead letters"];

function createTable(root) {
  const body = h("tbody");
  root.replaceChildren(h("table", { class: "nodes" },
    h("thead", {}, h("tr", {}, TITLES.map((title, i) => h("th", { scope: "col", class: i > 2 ? "number" : null }, title || h("span", { class: "unseen" }, "Detail"))))),
    body));
  return keyedList(body, nodeId, createRow);
}

function createRow(node) {
  const numbers = TITLES.slice(3).map(() => h("td", { class: "number" }));
  const row = h("tr", { "data-role": node.role }, h("th", { scope: "row" }, node.name), h("td", {}, node.kind), h("td", { class: "detail-text" }, node.detail), numbers);
  const update = (_, figures, over) => {
    const own = figures.get(nodeId(node));
    const texts = own
      ? [count(own.rowsIn), count(own.rowsOut), over ? NONE : rate(own.rowsPerSecond), own.late > 0 ? count(own.late) : NONE,
        node.role === "source" ? count(own.deadLetters) : NONE]
      : [];
    numbers.forEach((cell, i) => setText(cell, texts[i] ?? NONE));
  };
  return { element: row, update };
}
