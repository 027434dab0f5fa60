// The head of the page: state of the run and of the connection, the figures that matter most, the title.

import { announce, byId, h, setAttribute, setText } from "./dom.js";
import { bytes, compact, count, duration, plural, rate, stopwatch } from "./format.js";

const TEXTS = {
  waiting: "Waiting for events", running: "Running", finished: "Finished", stopped: "Stopped", failed: "Failed",
  disconnected: "Disconnected",
};

/** Where the run stands, as far as the page knows. */
export function stateOf({ connection, run, progress }) {
  if (run.status !== "running") return run.status;
  if (connection === "disconnected") return "disconnected";
  return progress.events === 0 ? "waiting" : "running";
}

/** Events per second: smoothed while it runs, the average when it is over. */
export function rateOf({ run, progress }) {
  if (run.status === "running") return progress.eventsPerSecond;
  const seconds = (run.nowMs - run.startedMs) / 1000;
  return seconds > 0 ? progress.events / seconds : 0;
}

export function createRunState() {
  const figures = createFigures();
  let before = null;
  return (state) => {
    const now = stateOf(state);
    setText(byId("pipeline-name"), state.description.pipeline);
    setAttribute(byId("state"), "data-state", now);
    setText(byId("state-text"), TEXTS[now]);
    setText(byId("elapsed"), stopwatch(state.run.nowMs - state.run.startedMs));
    const open = state.incidents.openTotal;
    const title = `${open > 0 ? `(${count(open)}) ` : ""}${state.description.pipeline} · Tocsin`;
    if (document.title !== title) document.title = title;
    showBanner(state, now);
    figures(state);
    if (before !== null && before !== now) announce(TEXTS[now]);
    before = now;
  };
}

function showBanner(state, now) {
  const banner = byId("banner");
  const text = bannerText(state, now);
  banner.hidden = text === "";
  setAttribute(banner, "data-state", now);
  setText(banner, text);
}

function bannerText(state, now) {
  const { run, progress, incidents } = state;
  const took = duration(run.nowMs - run.startedMs);
  const gone = state.connection === "disconnected" ? " The run's process has ended; this is its last state." : "";
  const found = `${plural(incidents.openTotal + incidents.resolvedTotal, "incident")} found, ${count(incidents.openTotal)} still open.`;
  const read = `${plural(progress.events, "event")} in ${took}, ${rate(rateOf(state))} a second on average. ${found}`;
  switch (now) {
    case "finished": return `All input was read: ${read}${gone}`;
    case "stopped": return `The run was stopped: ${read}${gone}`;
    case "failed": return `The run could not go on: ${run.message ?? "unknown cause"}${gone}`;
    case "disconnected": return "The run does not answer. It may have ended; this is what was known last. Trying again.";
    default: return "";
  }
}

function createFigures() {
  const tiles = [
    ["Open incidents", (s) => [count(s.incidents.openTotal), `${count(s.incidents.resolvedTotal)} resolved`]],
    ["Alarms firing", (s) => [count(s.alarms.firing), `${count(s.alarms.fired)} fired, ${count(s.alarms.escalations)} escalated`]],
    ["Throughput", (s) => [rate(rateOf(s)), s.run.status === "running" ? "events/s" : "events/s on average"]],
    ["Events read", (s) => [compact(s.progress.events), bytes(s.progress.bytes)]],
    ["Late rows", (s) => [count(s.progress.late), share(s.progress.late, s.progress.events)]],
    ["Dead letters", (s) => [count(s.progress.deadLetters), share(s.progress.deadLetters, s.progress.events)]],
  ].map(([name, read]) => {
    const value = h("span", { class: "figure-value" });
    const hint = h("span", { class: "figure-hint" });
    return { element: h("div", { class: "figure" }, h("dt", {}, name), h("dd", {}, value, hint)), value, hint, read };
  });
  byId("figures").replaceChildren(h("dl", {}, tiles.map((tile) => tile.element)));
  const worst = tiles[0].element;
  const dead = tiles[5].element;
  return (state) => {
    for (const { value, hint, read } of tiles) {
      const [text, note] = read(state);
      setText(value, text);
      setText(hint, note);
    }
    setAttribute(worst, "data-level", state.incidents.open[0]?.level);
    setAttribute(dead, "data-level", state.progress.deadLetters > 0 ? 3 : null);
  };
}

function share(part, all) {
  if (part === 0 || all === 0) return "none";
  const percent = (part / all) * 100;
  return percent < 0.01 ? "below 0.01 % of events" : `${percent.toPrecision(2)} % of events`;
}
