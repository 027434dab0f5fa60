// Where the nodes of a pipeline stand in its picture: in layers from left to right, with few crossings. No drawing.

export const NODE = { width: 164, height: 46 };
const GAP = { across: 60, down: 16 };
/** Height that an edge takes where it passes a layer. */
const PASSAGE = 12;
const SWEEPS = 8;

/** The id of a node: a sink may have the name of a stage. */
export const nodeId = (node) => (node.role === "sink" ? `sink ${node.name}` : node.name);

/**
 * Places `nodes` ({name, role, from}). Returns {width, height, places: Map(id -> {x, y}), edges: [{from, to, points}]},
 * where a place is a left upper corner and points go from the right of a node to the left of the next.
 */
export function layout(nodes) {
  const byId = new Map(nodes.map((node) => [nodeId(node), node]));
  const links = nodes.flatMap((node) => node.from.filter((name) => byId.has(name)).map((name) => ({ from: name, to: nodeId(node) })));
  const depths = depthsOf([...byId.keys()], links);
  const { layers, chains } = layersOf(depths, links);
  order(layers);
  placeDown(layers);
  const items = layers.flat();
  const top = Math.min(0, ...items.map((item) => item.y));
  for (const item of items) item.y -= top;
  const places = new Map(items.filter((item) => item.id !== null).map((item) => [item.id, { x: left(item), y: item.y }]));
  return {
    width: Math.max(1, layers.length) * (NODE.width + GAP.across) - GAP.across,
    height: Math.max(NODE.height, ...items.map((item) => item.y + item.height)),
    places,
    edges: chains.map(({ from, to, items: chain }) => ({ from, to, points: pointsOf(chain) })),
  };
}

const left = (item) => item.layer * (NODE.width + GAP.across);
const middle = (item) => item.y + item.height / 2;

/** Longest way from a node without inputs. A cycle, which a pipeline has not, ends at its first node. */
function depthsOf(ids, links) {
  const depths = new Map();
  const visit = (id, path) => {
    if (depths.has(id)) return depths.get(id);
    if (path.has(id)) return 0;
    path.add(id);
    const before = links.filter((link) => link.to === id).map((link) => visit(link.from, path) + 1);
    path.delete(id);
    depths.set(id, Math.max(0, ...before));
    return depths.get(id);
  };
  for (const id of ids) visit(id, new Set());
  return depths;
}

/** The layers, with passages for edges that skip layers; and each edge as the chain of items that it goes through. */
function layersOf(depths, links) {
  const layers = [];
  const add = (layer, id, height) => {
    const item = { id, layer, height, y: 0, before: [], after: [] };
    (layers[layer] ??= []).push(item);
    return item;
  };
  const items = new Map([...depths].map(([id, depth]) => [id, add(depth, id, NODE.height)]));
  const chains = links.filter(({ from, to }) => depths.get(from) < depths.get(to)).map(({ from, to }) => {
    const chain = [items.get(from)];
    for (let layer = depths.get(from) + 1; layer < depths.get(to); layer += 1) chain.push(add(layer, null, PASSAGE));
    chain.push(items.get(to));
    chain.slice(1).forEach((item, i) => {
      chain[i].after.push(item);
      item.before.push(chain[i]);
    });
    return { from, to, items: chain };
  });
  for (let layer = 0; layer < layers.length; layer += 1) layers[layer] ??= [];
  return { layers, chains };
}

/** Orders each layer by the average place of its neighbours, forth and back. */
function order(layers) {
  const number = (layer) => layer.forEach((item, i) => (item.place = i));
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forth = sweep % 2 === 0;
    for (const layer of forth ? layers : [...layers].reverse()) {
      for (const item of layer) {
        const near = forth ? item.before : item.after;
        item.wish = near.length === 0 ? item.place : near.reduce((sum, other) => sum + other.place, 0) / near.length;
      }
      layer.sort((a, b) => a.wish - b.wish || a.place - b.place);
      number(layer);
    }
  }
}

/** Puts items near the middle of their neighbours, in their order and without overlap. */
function placeDown(layers) {
  for (const layer of layers) stack(layer, () => 0);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const layer of sweep % 2 === 0 ? layers : [...layers].reverse()) {
      stack(layer, (item) => {
        const near = [...item.before, ...item.after];
        return near.length === 0 ? item.y : near.reduce((sum, other) => sum + middle(other), 0) / near.length - item.height / 2;
      });
    }
  }
}

function stack(layer, wishOf) {
  const wishes = layer.map(wishOf);
  let free = -Infinity;
  layer.forEach((item, i) => {
    item.y = Math.max(wishes[i], free);
    free = item.y + item.height + GAP.down;
  });
  const shift = layer.reduce((sum, item, i) => sum + (wishes[i] - item.y), 0) / (layer.length || 1);
  for (const item of layer) item.y += shift;
}

function pointsOf(chain) {
  return chain.flatMap((item, i) => {
    const [start, end] = [left(item), left(item) + NODE.width];
    if (i === 0) return [{ x: end, y: middle(item) }];
    if (i === chain.length - 1) return [{ x: start, y: middle(item) }];
    return [{ x: start, y: middle(item) }, { x: end, y: middle(item) }];
  });
}
