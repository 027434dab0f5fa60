// The latest alarms and escalations, newest first.

import { byId, emptyState, h, keyedList, setAttribute, setText, severityPill } from "./dom.js";
import { count, duration, keyText, time } from "./format.js";

export function createAlarms() {
  const body = byId("alarms-body");
  let show = null;
  return (state, changed) => {
    if (!changed.has("alarms") && !changed.has("run")) return;
    const { latest, fired, escalations } = state.alarms;
    const all = fired + escalations;
    setText(byId("alarms-note"), latest.length < all ? `the last ${latest.length} of ${count(all)}` : "");
    if (latest.length === 0) {
      show = null;
      const [title, hint] = emptyTexts(state);
      if (body.textContent !== title + hint) body.replaceChildren(emptyState(title, hint));
      return;
    }
    const isSnapshot = changed.has("description"); // Numbers begin anew with each run.
    if (show === null || isSnapshot) {
      const list = h("ol", { class: "alarms" });
      body.replaceChildren(list);
      show = keyedList(list, (alarm) => alarm.number, createItem);
    }
    if (changed.has("alarms")) show(latest, state, !isSnapshot);
  };
}

function emptyTexts({ description, run }) {
  const kinds = ["alarm", "escalate", "detect", "match"];
  const stages = description.nodes.filter((node) => node.role === "stage" && kinds.includes(node.kind));
  if (stages.length === 0) return ["No alarm stage", "This pipeline has no stage that raises alarms."];
  const names = stages.map((stage) => stage.name).join(", ");
  return ["No alarm so far", run.status === "running" ? `On watch: ${names}.` : "The run is over."];
}

function createItem() {
  const pill = h("span");
  const key = h("strong");
  const status = h("span", { class: "status" });
  const text = h("span", { class: "text" });
  const when = h("time", {});
  const item = h("li", {},
    h("p", { class: "line" }, pill, key, status), h("p", { class: "line second" }, text, when));
  let drawn = "";
  const update = (alarm, { progress }, isNew) => {
    if (drawn === "" && isNew) item.classList.add("new");
    const timeText = time(alarm.eventTimeMs ?? alarm.sinceMs ?? alarm.endedMs, progress.eventTimeMs);
    const content = JSON.stringify(alarm) + timeText;
    if (content === drawn) return;
    drawn = content;
    setAttribute(item, "data-status", alarm.status);
    pill.replaceChildren(severityPill(alarm.severity, alarm.level));
    setText(key, keyText(alarm.key));
    setText(status, statusText(alarm));
    const name = alarm.rule && alarm.rule !== alarm.stage ? `${alarm.stage} / ${alarm.rule}` : alarm.stage;
    setText(text, alarm.summary ? `${name}: ${alarm.summary}` : name);
    setText(when, timeText);
  };
  return { element: item, update };
}

function statusText({ status, sinceMs, endedMs }) {
  if (status === "escalated") return "escalated";
  if (status === "firing") return "firing";
  return sinceMs != null && endedMs != null ? `resolved after ${duration(endedMs - sinceMs)}` : "resolved";
}
