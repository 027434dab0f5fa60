// Puts the page together: takes views from the stream, keeps the newest of each part, and has the panels drawn.

import { createAlarms } from "./alarms.js";
import { createClock } from "./clock.js";
import { createFlow } from "./flow.js";
import { createIncidents } from "./incidents.js";
import { createKpis } from "./kpis.js";
import { createRunState } from "./run_state.js";
import { listen } from "./stream.js";
import { createThroughput } from "./throughput.js";

/** The newest of each part; see the server's `View`. */
const state = { connection: "connecting", version: 0, kpis: new Map() };

const panels = [
  createRunState(), createIncidents(), createAlarms(), createThroughput(), createClock(), createKpis(), createFlow(),
];

function sameRun({ run, description }) {
  return run.startedMs === state.run?.startedMs && JSON.stringify(description) === JSON.stringify(state.description);
}

/** Has the panels drawn; "description" is among what changed if all is new. */
function draw(changed) {
  if (!state.description) return;
  for (const panel of panels) {
    try {
      panel(state, changed);
    } catch (error) {
      console.error(error); // One panel that fails leaves the others.
    }
  }
}

listen(
  (view) => {
    const { kpis = [], ...parts } = view;
    const changed = new Set(Object.keys(parts));
    if (view.description) {
      // A snapshot: the first, one after a gap, or the one of a run after this.
      if (sameRun(view)) changed.delete("description");
      state.kpis = new Map();
      changed.add("kpis");
    } else if (view.version <= state.version) {
      return; // The snapshot had it.
    }
    Object.assign(state, parts);
    for (const stage of kpis) {
      state.kpis.set(stage.stage, stage);
      changed.add("kpis");
    }
    draw(changed);
  },
  (connection) => {
    if (state.connection === connection) return;
    state.connection = connection;
    draw(new Set(["connection"]));
    document.documentElement.dataset.connection = connection;
  },
);
