// Takes the pictures of the live page: node tests/browser/screenshots.mjs [FOLDER], by default docs/images.
// The data in them are made up. Wants Debian's `pngquant` (smaller files) and `fonts-inter` (a good system font).

import { execFileSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { startChromium } from "./chromium.mjs";
import { startFeeder } from "./feeder.mjs";

const PICTURES = [
  { name: "live-page-light", scene: "running", scheme: "light", width: 1440, height: 900 },
  { name: "live-page-dark", scene: "running", scheme: "dark", width: 1440, height: 900 },
  { name: "live-page-narrow", scene: "running", scheme: "light", width: 390, height: 844 },
  { name: "live-page-empty", scene: "empty", scheme: "light", width: 1440, height: 900 },
  { name: "live-page-finished", scene: "finished", scheme: "dark", width: 1440, height: 900 },
];

const folder = process.argv[2] ?? fileURLToPath(new URL("../../docs/images", import.meta.url));
mkdirSync(folder, { recursive: true });
const chromium = await startChromium();
try {
  for (const { name, scene, ...options } of PICTURES) {
    const feeder = await startFeeder(scene);
    const page = await chromium.open(feeder.url, options);
    await page.until("document.documentElement.dataset.connection === 'live'");
    if (scene === "running") {
      // A few seconds of changes, so that rates stand and nothing is highlighted as new.
      await new Promise((resolve) => setTimeout(resolve, 4000));
      await page.evaluate("document.querySelector('.expand').click()");
    }
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 600))");
    const file = join(folder, `${name}.png`);
    execFileSync("pngquant", ["--force", "--speed", "1", "--strip", "--output", file, "-"], { input: await page.screenshot() });
    console.log(`${name}.png: ${Math.round(statSync(file).size / 1000)} kB`);
    await page.close();
    await feeder.stop();
  }
} finally {
  await chromium.close();
}
