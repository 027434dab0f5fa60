// A headless Chromium, driven by its DevTools protocol over a pipe: no port, no package.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
  "--force-color-profile=srgb", "--remote-debugging-pipe",
];

/** Starts Chromium. Returns {open(url, options), close()}. */
export async function startChromium() {
  const profile = mkdtempSync(join(tmpdir(), "tocsin-chromium-"));
  const binary = process.env.CHROMIUM ?? "chromium";
  const child = spawn(binary, [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
  });
  const protocol = createProtocol(child.stdio[3], child.stdio[4]);
  child.on("error", (error) => protocol.fail(new Error(`${binary} does not start: ${error.message}`)));
  child.on("exit", (code) => protocol.fail(new Error(`${binary} ended with code ${code}`)));
  await protocol.send("Browser.getVersion");
  return {
    open: (url, options) => openPage(protocol, url, options),
    close: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      protocol.send("Browser.close").catch(() => {});
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Messages are JSON, each ended by a zero byte. */
function createProtocol(input, output) {
  const waiting = new Map();
  const listeners = [];
  let lastId = 0;
  let failure = null;
  let rest = "";
  output.setEncoding("utf8");
  output.on("data", (text) => {
    const messages = (rest + text).split("\0");
    rest = messages.pop();
    for (const message of messages) take(JSON.parse(message));
  });
  const take = (message) => {
    if (message.id === undefined) {
      for (const listener of listeners) listener(message);
      return;
    }
    const { resolve, reject, method } = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) reject(new Error(`${method}: ${message.error.message}`));
    else resolve(message.result);
  };
  return {
    on: (listener) => listeners.push(listener),
    send: (method, params = {}, sessionId = undefined) =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure);
        lastId += 1;
        waiting.set(lastId, { resolve, reject, method });
        input.write(`${JSON.stringify({ id: lastId, method, params, sessionId })}\0`);
      }),
    fail: (error) => {
      failure = error;
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    },
  };
}

/** Opens a page. `scheme` is "light" or "dark"; `width` and `height` are those of the window. */
async function openPage(protocol, url, { scheme = "light", width = 1440, height = 900, scale = 1 } = {}) {
  const { targetId } = await protocol.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await protocol.send("Target.attachToTarget", { targetId, flatten: true });
  const send = (method, params) => protocol.send(method, params, sessionId);
  const page = { requests: [], errors: [] };
  protocol.on((event) => {
    if (event.sessionId === sessionId) record(page, event);
  });
  for (const domain of ["Page", "Runtime", "Network", "Log"]) await send(`${domain}.enable`);
  await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: scale, mobile: false });
  await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  const nextLoad = () => new Promise((resolve) => protocol.on((event) => {
    if (event.sessionId === sessionId && event.method === "Page.loadEventFired") resolve();
  }));
  const loaded = nextLoad();
  await send("Page.navigate", { url });
  await loaded;

  page.evaluate = async (expression) => {
    const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  };
  /** Waits until the expression is true in the page, and returns its value. */
  page.until = async (expression, withinMs = 10_000) => {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const value = await page.evaluate(expression);
      if (value) return value;
      if (Date.now() > deadline) throw new Error(`within ${withinMs} ms it did not come true: ${expression}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  /** A PNG of the whole page, or of its first `height` pixels. */
  page.screenshot = async ({ whole = true } = {}) => {
    const size = await page.evaluate("({width: innerWidth, height: document.documentElement.scrollHeight})");
    if (whole) {
      await send("Emulation.setDeviceMetricsOverride", { width, height: Math.max(height, size.height), deviceScaleFactor: scale, mobile: false });
    }
    const { data } = await send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  };
  /** Presses a key, as a user does. */
  page.press = async (key) => {
    const codes = { Tab: 9, Enter: 13 };
    const event = { key, code: key, windowsVirtualKeyCode: codes[key], text: key === "Enter" ? "\r" : undefined };
    await send("Input.dispatchKeyEvent", { type: event.text ? "keyDown" : "rawKeyDown", ...event });
    await send("Input.dispatchKeyEvent", { type: "keyUp", ...event, text: undefined });
  };
  page.reload = async () => {
    const loaded = nextLoad();
    await send("Page.reload");
    await loaded;
  };
  /** Role and name of all that a screen reader is told of. */
  page.accessibleNames = async () => {
    const { nodes } = await send("Accessibility.getFullAXTree");
    return nodes.filter((node) => !node.ignored).map((node) => ({ role: node.role?.value ?? "", name: node.name?.value ?? "" }));
  };
  page.close = () => protocol.send("Target.closeTarget", { targetId });
  return page;
}

function record(page, { method, params }) {
  if (method === "Network.requestWillBeSent") page.requests.push(params.request.url);
  if (method === "Runtime.exceptionThrown") page.errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
  if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) {
    page.errors.push(params.args.map((argument) => argument.value ?? argument.description).join(" "));
  }
  if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) {
    page.errors.push(`${params.entry.text} ${params.entry.url ?? ""}`);
  }
}
