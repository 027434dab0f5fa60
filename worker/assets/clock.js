// Event time and watermark, and how far they are behind.

import { byId, emptyState, h, setText } from "./dom.js";
import { date, duration, NONE, speed, timeOfDay } from "./format.js";

/** An event time further from the clock than this is a replay of the past, and its distance says nothing. */
const LIVE_MS = 24 * 3600 * 1000;

export function createClock() {
  const root = byId("clock-body");
  let parts = null;
  return (state, changed) => {
    if (!changed.has("progress") && !changed.has("run")) return;
    const { eventTimeMs, watermarkMs, speed: passing } = state.progress;
    if (eventTimeMs == null) {
      parts = null;
      const sources = state.description.nodes.filter((node) => node.role === "source").map((node) => node.name);
      root.replaceChildren(emptyState("No event time yet", `It begins with the first event of ${sources.join(", ")}.`));
      return;
    }
    parts ??= createParts(root);
    setText(parts.time, timeOfDay(eventTimeMs));
    setText(parts.date, date(eventTimeMs));
    setText(parts.watermark, timeOfDay(watermarkMs));
    setText(parts.delay, watermarkMs == null ? NONE : `${duration(eventTimeMs - watermarkMs)} behind event time`);
    const behind = state.run.nowMs - eventTimeMs;
    const isLive = Math.abs(behind) < LIVE_MS;
    setText(parts.behind, isLive ? duration(Math.abs(behind)) : "replay");
    setText(parts.behindHint, isLive ? `${behind < 0 ? "ahead of" : "behind"} the clock` : "of past events");
    setText(parts.speed, speed(passing));
    setText(parts.speedHint, passing > 1.05 ? `${duration(passing * 1000)} pass in a second` : "");
    // Once the run is over, neither says anything.
    for (const fact of parts.facts) fact.hidden = state.run.status !== "running";
  };
}

function createParts(root) {
  const part = () => h("span");
  const parts = {
    time: part(), date: part(), watermark: part(), delay: part(), behind: part(), behindHint: part(), speed: part(), speedHint: part(),
  };
  const row = (name, value, hint) => h("div", {}, h("dt", {}, name), h("dd", {}, value), h("dd", { class: "hint" }, hint));
  parts.facts = [row("Delay", parts.behind, parts.behindHint), row("Speed", parts.speed, parts.speedHint)];
  root.replaceChildren(
    h("p", { class: "clock" }, h("span", { class: "clock-time" }, parts.time), h("span", { class: "clock-date" }, parts.date)),
    h("dl", { class: "facts" }, row("Watermark", parts.watermark, parts.delay), parts.facts),
  );
  return parts;
}
