// The table of incidents: open ones by severity, or the last resolved ones. A row opens to show its causes.

import { announce, byId, emptyState, h, keyedList, setAttribute, setText, severityPill } from "./dom.js";
import { count, duration, keyText, plural, time } from "./format.js";

export function createIncidents() {
  const body = byId("incidents-body");
  const choice = byId("incidents-choice");
  const expanded = new Set();
  let seen = null;
  let last = null;
  let table = null;

  const draw = () => {
    const resolved = choice.querySelector("input:checked").value === "resolved";
    const rows = resolved ? last.incidents.resolved : last.incidents.open;
    setText(byId("incidents-note"), note(last.incidents, resolved));
    if (rows.length === 0) {
      table = null;
      const [title, hint] = emptyTexts(last, resolved);
      if (body.textContent !== title + hint) body.replaceChildren(emptyState(title, hint));
      return;
    }
    table ??= createTable(body, expanded);
    table(rows, last, resolved, (incident) => seen !== null && !seen.has(idOf(incident)));
  };

  choice.addEventListener("change", () => last && draw());
  return (state, changed) => {
    last = state;
    if (changed.has("description")) expanded.clear();
    // The ages in the rows go with event time.
    if (!changed.has("incidents") && !changed.has("progress")) return;
    if (changed.has("description")) seen = null;
    draw();
    if (changed.has("incidents")) seen = tellNew(state.incidents.open, seen);
  };
}

const idOf = (incident) => `${incident.stage}\u0000${incident.id}`;

/** Announces incidents that were not open before; returns those that are. */
function tellNew(open, seen) {
  const fresh = seen === null ? [] : open.filter((incident) => !seen.has(idOf(incident)));
  if (fresh.length === 1) announce(`New incident: ${fresh[0].severity} ${keyText(fresh[0].key)}`);
  else if (fresh.length > 1) {
    announce(`${fresh.length} new incidents, the most severe ${fresh[0].severity} ${keyText(fresh[0].key)}`);
  }
  return new Set(open.map(idOf));
}

function note({ open, openTotal, resolved, resolvedTotal }, showResolved) {
  const [rows, total] = showResolved ? [resolved, resolvedTotal] : [open, openTotal];
  if (rows.length < total) {
    const which = showResolved ? "the last" : "the most severe";
    return `${which} ${rows.length} of ${count(total)}`;
  }
  if (showResolved) return total > 0 ? plural(total, "incident") : "";
  const bySeverity = new Map();
  for (const { severity } of open) bySeverity.set(severity, (bySeverity.get(severity) ?? 0) + 1);
  return [...bySeverity].map(([severity, n]) => `${n} ${severity.toLowerCase()}`).join(", ");
}

function emptyTexts({ description, run, incidents }, resolved) {
  const stages = description.nodes.filter((node) => node.role === "stage" && node.kind === "incident");
  if (stages.length === 0) return ["No incident stage", "This pipeline has no stage that makes incidents."];
  if (resolved) return ["Nothing resolved yet", "An incident is resolved when its causes have been quiet for its time."];
  const names = [...new Set(stages.flatMap((stage) => stage.from))];
  const inputs = names.length > 1 ? `one of ${names.join(", ")}` : names.join("");
  const title = incidents.resolvedTotal > 0 ? "No incident is open" : "No incident so far";
  return [title, run.status === "running" ? `One opens as soon as ${inputs} reports something.` : "The run is over."];
}

function createTable(body, expanded) {
  const head = h("tr");
  const element = h("table", { class: "incidents" }, h("thead", {}, head));
  body.replaceChildren(element);
  const show = keyedList(element, idOf, (incident) => createRow(incident, expanded), element.tHead);
  return (rows, state, resolved, isNew) => {
    const titles = ["Severity", keyTitle(rows, state.description), "Since", resolved ? "Lasted" : "Causes", "Events"];
    if (head.textContent !== titles.join("")) {
      head.replaceChildren(...titles.map((title, i) => h("th", { scope: "col", class: COLUMNS[i] }, title)));
    }
    show(rows, state, resolved, isNew);
  };
}

const COLUMNS = ["c-severity", "c-key", "c-since", "c-causes", "c-events"];

function keyTitle(rows, description) {
  const stages = new Set(rows.map((row) => row.stage));
  if (stages.size !== 1) return "Key";
  const node = description.nodes.find((other) => other.role === "stage" && stages.has(other.name));
  const title = node?.key.join(" · ") || "Key";
  return title[0].toUpperCase() + title.slice(1);
}

function createRow(incident, expanded) {
  const id = idOf(incident);
  const cells = COLUMNS.map((name) => h("td", { class: name }));
  const [severity, key, since, causes, events] = cells;
  const button = h("button", { type: "button", class: "expand", "aria-expanded": "false" });
  key.append(button);
  const sinceTime = h("span");
  const age = h("span", { class: "age" });
  since.append(sinceTime, age);
  const detailCell = h("td", { colspan: COLUMNS.length });
  const detail = h("tr", { class: "detail", hidden: true }, detailCell);
  const tbody = h("tbody", {}, h("tr", {}, cells), detail);
  let shown = incident;

  const showDetail = () => {
    const open = expanded.has(id);
    detail.hidden = !open;
    setAttribute(button, "aria-expanded", open);
    if (open) detailCell.replaceChildren(details(shown));
  };
  button.addEventListener("click", () => {
    if (!expanded.delete(id)) expanded.add(id);
    showDetail();
  });

  let drawn = null;
  const update = (next, { progress }, resolved, isNew) => {
    if (drawn === null && isNew(next)) tbody.classList.add("new");
    const reference = progress.eventTimeMs;
    const end = next.resolvedMs ?? reference;
    const lasted = next.openedMs != null && end != null ? Math.max(0, end - next.openedMs) : null;
    setText(sinceTime, time(next.openedMs, reference));
    setText(age, lasted == null || resolved ? "" : duration(lasted));
    if (resolved) setText(causes, duration(lasted));
    setText(events, count(next.events));
    const content = JSON.stringify(next);
    if (content === drawn) return;
    drawn = content;
    shown = next;
    setAttribute(tbody, "data-level", next.level);
    severity.replaceChildren(severityPill(next.severity, next.level));
    setText(button, keyText(next.key));
    if (!resolved) causes.replaceChildren(...next.causes.slice(0, 3).map(chip), ...more(next));
    showDetail();
  };
  return { element: tbody, update };
}

function chip(cause) {
  return h("span", { class: "chip", "data-level": cause.level }, cause.stage, h("span", { class: "times" }, `×${count(cause.count)}`));
}

function more({ causes, causesTotal }) {
  const left = causesTotal - Math.min(3, causes.length);
  return left > 0 ? [h("span", { class: "more" }, `+${left}`)] : [];
}

function details(incident) {
  const reference = incident.updatedMs;
  const causes = incident.causes.map((cause) =>
    h("tr", {}, h("td", {}, severityPill(cause.severity, cause.level)), h("th", { scope: "row" }, cause.stage),
      h("td", {}, `first ${time(cause.firstSeenMs, reference)}`), h("td", { class: "number" }, plural(cause.count, "row"))));
  const hidden = incident.causesTotal - incident.causes.length;
  return h("div", {},
    h("table", { class: "causes" }, h("caption", { class: "unseen" }, "Causes"), h("tbody", {}, causes)),
    hidden > 0 ? h("p", { class: "note" }, `and ${plural(hidden, "cause")} more`) : null,
    h("p", { class: "note" }, `Incident ${incident.id}, of stage ${incident.stage}. Last change ${time(incident.updatedMs, incident.openedMs)}.`));
}
