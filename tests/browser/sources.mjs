// Modules of the page without imports of their own, for tests in Node.

import { readFileSync } from "node:fs";

/** Loads a module of worker/assets. */
export const load = (name) => {
  const text = readFileSync(new URL(`../../worker/assets/${name}`, import.meta.url), "utf8");
  return import(`data:text/javascript,${encodeURIComponent(text)}`);
};
