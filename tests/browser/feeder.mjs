// The live page with made-up data: the example `live_page` of the package `tocsin-worker`.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Serves a scene. Returns {url, say(line), stop()}. LIVE_PAGE may name the built example. */
export async function startFeeder(scene, port = 0) {
  const built = process.env.LIVE_PAGE;
  const [command, before] = built ? [built, []] : ["cargo", ["run", "--quiet", "-p", "tocsin-worker", "--example", "live_page", "--"]];
  const child = spawn(command, [...before, "--scene", scene, "--port", String(port)], { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"] });
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`live_page ended with code ${code}`)));
  });
  return {
    url,
    say: (line) => child.stdin.write(`${line}\n`),
    stop: async () => {
      if (child.exitCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.stdin.end();
      await ended;
    },
  };
}
