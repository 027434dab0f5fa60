// The picture of a pipeline: whatever the pipeline, nodes do not overlap and edges go from left to right.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./sources.mjs";

const { layout, NODE } = await load("flow_layout.js");
const node = (name, from = [], role = "stage") => ({ name, role, from });

function check(nodes) {
  const { width, height, places, edges } = layout(nodes);
  assert.equal(places.size, nodes.length);
  const boxes = [...places];
  for (const [id, { x, y }] of boxes) {
    assert.ok(x >= 0 && y >= 0 && x + NODE.width <= width && y + NODE.height <= height + 1e-6, `${id} is within the picture`);
    for (const [other, place] of boxes) {
      const apart = id === other || Math.abs(place.x - x) >= NODE.width || Math.abs(place.y - y) >= NODE.height;
      assert.ok(apart, `${id} and ${other} overlap`);
    }
  }
  for (const { from, to, points } of edges) {
    for (let i = 1; i < points.length; i += 1) assert.ok(points[i].x > points[i - 1].x, `${from} to ${to} goes right`);
  }
  return { places, edges };
}

test("a chain stands in a row", () => {
  const { places, edges } = check([node("a", [], "source"), node("b", ["a"]), node("c", ["b"], "sink")]);
  assert.equal(new Set([...places.values()].map((place) => place.y)).size, 1);
  assert.equal(edges.length, 2);
});

test("a sink may have the name of its stage, and an unknown input is passed over", () => {
  const { places, edges } = check([node("a", [], "source"), node("b", ["a", "nobody"]), node("b", ["b"], "sink")]);
  assert.deepEqual([...places.keys()], ["a", "b", "sink b"]);
  assert.equal(edges.length, 2);
});

test("an edge that skips layers goes between the nodes, not through them", () => {
  const { places, edges } = check([
    node("a", [], "source"), node("b", ["a"]), node("c", ["b"]), node("d", ["c", "a"]),
  ]);
  const { points } = edges.find(({ from, to }) => from === "a" && to === "d");
  for (const id of ["b", "c"]) {
    const { x, y } = places.get(id);
    const through = points.some((point) => point.x >= x && point.x <= x + NODE.width && point.y > y && point.y < y + NODE.height);
    assert.ok(!through, `the edge goes through ${id}`);
  }
});

test("nothing, a cycle and a node that reads itself do no harm", () => {
  check([]);
  check([node("a", ["b"]), node("b", ["a"])]);
  check([node("a", ["a"])]);
});

test("any pipeline can be drawn", () => {
  let seed = 1;
  const random = (n) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % n;
  };
  for (let round = 0; round < 200; round += 1) {
    const nodes = [];
    const size = 1 + random(40);
    for (let i = 0; i < size; i += 1) {
      const inputs = new Set(Array.from({ length: random(4) }, () => (i === 0 ? null : `n${random(i)}`)));
      nodes.push(node(`n${i}`, [...inputs].filter(Boolean)));
    }
    check(nodes);
  }
});
