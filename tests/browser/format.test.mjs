// Numbers, durations and times as text.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./sources.mjs";

const format = await load("format.js");
const plain = (text) => text.replaceAll("\u00a0", " ");

/** Each row: arguments, expected text. */
function check(name, rows) {
  for (const [args, expected] of rows) assert.equal(plain(format[name](...args)), expected, `${name}(${args.join(", ")})`);
}

test("numbers have three digits and a unit", () => {
  check("compact", [
    [[0], "0"], [[7], "7"], [[0.04213], "0.0421"], [[57.31], "57.3"], [[58.04], "58.0"], [[1240], "1,240"], [[9994], "9,994"],
    [[9996], "10.0 k"], [[12_000], "12.0 k"], [[999_600], "1.00 M"], [[1_240_000], "1.24 M"], [[8.1e9], "8.10 G"], [[-12_340], "-12.3 k"],
    [[null], "–"], [[NaN], "–"], [[Infinity], "–"],
    [[12_000, true], "12 k"], [[0.5, true], "0.5"],
  ]);
  check("rate", [[[0], "0"], [[0.04], "0"], [[0.25], "0.3"], [[3.51], "3.5"], [[944.4], "944"], [[3891.2], "3,891"], [[1.24e6], "1.24 M"]]);
  check("bytes", [[[0], "0 B"], [[999], "999 B"], [[1000], "1.00 kB"], [[9.414e9], "9.41 GB"], [[5e6, true], "5 MB"]]);
  check("count", [[[48_210_334], "48,210,334"], [[null], "–"]]);
  check("plural", [[[1, "incident"], "1 incident"], [[0, "incident"], "0 incidents"], [[2, "entry", "entries"], "2 entries"]]);
});

test("durations have their two largest units", () => {
  check("duration", [
    [[0], "0 ms"], [[850], "850 ms"], [[5000], "5 s"], [[5240], "5.2 s"], [[9960], "10 s"], [[59_600], "1 min"], [[80_000], "1 min 20 s"],
    [[3_599_900], "1 h"], [[11_100_000], "3 h 5 min"], [[86_399_999], "1 d"], [[187_200_000], "2 d 4 h"], [[-5000], "−5 s"], [[null], "–"],
  ]);
  check("stopwatch", [[[0], "0:00"], [[42_900], "0:42"], [[727_000], "12:07"], [[3_723_000], "1:02:03"], [[-5], "0:00"]]);
});

test("times are in UTC, with the date where it is needed", () => {
  const noon = Date.UTC(2014, 3, 2, 12);
  const hour = 3_600_000;
  check("timeOfDay", [[[noon + 7000], "12:00:07"], [[null], "–"], [[-1], "23:59:59"], [[253_402_300_800_000], "00:00:00"]]);
  check("date", [[[noon], "2 Apr 2014"], [[null], "–"]]);
  check("time", [
    [[noon, noon + 11 * hour], "12:00:00"], [[noon, noon - 11.9 * hour], "12:00:00"], [[noon, noon + 24 * hour], "2 Apr 12:00:00"],
    [[noon + 11 * hour, noon + 14 * hour], "23:00:00"], [[noon, null], "2 Apr 12:00:00"], [[null, noon], "–"],
  ]);
  const ticks = (from, step, n) => Array.from({ length: n }, (_, i) => from + i * step);
  assert.deepEqual(format.timeTicks(ticks(noon, 30_000, 3), 30_000), ["12:00:00", "12:00:30", "12:01:00"]);
  assert.deepEqual(format.timeTicks(ticks(noon, 6 * hour, 3), 6 * hour).map(plain), ["12:00", "18:00", "3 Apr"]);
  assert.deepEqual(format.timeTicks(ticks(noon, 24 * hour, 2), 24 * hour).map(plain), ["2 Apr", "3 Apr"]);
});

test("the speed of event time is a factor", () => {
  check("speed", [[[0], "standing"], [[NaN], "standing"], [[1.02], "real time"], [[0.5], "×0.500"], [[3600], "×3,600"], [[-1], "standing"]]);
});

test("a column's ending tells its unit", () => {
  const check = (column, value, expected) => assert.equal(plain(format.quantity(value, format.unitOf(column))), expected, column);
  check("p95_ms", 312.44, "312 ms");
  check("cpu_percent", 94.6, "94.6 %");
  check("read_bytes", 5e6, "5.00 MB");
  check("alerts", 42, "42");
  check("items", 3, "3");
  check("alerts", null, "–");
});

test("a key of several columns is one text", () => {
  check("keyText", [[[["checkout"]], "checkout"], [[["checkout", "h1"]], "checkout · h1"], [[["", "h1"]], "(none) · h1"], [[[]], "all"]]);
});
