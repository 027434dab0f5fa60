// Small helpers to build and change elements. All text goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id, which the page has. */
export const byId = (id) => document.getElementById(id);

/** An element with attributes and children (elements or texts; null is left out). */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** Sets a text if it is another one, so that selections and screen readers are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets or removes an attribute if it is another one. */
export function setAttribute(element, name, value) {
  if (value == null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/**
 * A list in `parent`, behind its child `after` if there is one. `make(item)` gives {element, update(item, ...rest)}.
 * Returns show(items, ...rest), which makes the children be those of the items, in their order: an item's element is
 * kept as long as its key is.
 */
export function keyedList(parent, keyOf, make, after = null) {
  let parts = new Map();
  return (items, ...rest) => {
    const next = new Map();
    for (const item of items) {
      const key = keyOf(item);
      const part = parts.get(key) ?? make(item);
      part.update(item, ...rest);
      next.set(key, part);
    }
    for (const [key, part] of parts) if (!next.has(key)) part.element.remove();
    let place = after ? after.nextElementSibling : parent.firstElementChild;
    for (const { element } of next.values()) {
      if (element === place) place = place.nextElementSibling;
      else parent.insertBefore(element, place);
    }
    parts = next;
  };
}

/** A severity as a coloured word. */
export function severityPill(severity, level) {
  return h("span", { class: "pill", "data-level": level }, severity || "none");
}

/** What is shown where there is nothing yet. */
export function emptyState(title, hint) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), hint ? h("p", {}, hint) : null);
}

let waiting = [];
let timer = null;

/** Tells screen readers, politely and not more often than every few seconds. */
export function announce(text) {
  waiting.push(text);
  timer ??= setTimeout(() => {
    byId("announcer").textContent = waiting.slice(-3).join(". ");
    waiting = [];
    timer = null;
  }, 2000);
}
