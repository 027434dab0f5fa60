// The live page in a real browser, fed with made-up data.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { auditContrast } from "./contrast.mjs";
import { startChromium } from "./chromium.mjs";
import { startFeeder } from "./feeder.mjs";

let chromium;
before(async () => {
  chromium = await startChromium();
});
after(() => chromium.close());

const CONNECTED = "document.documentElement.dataset.connection === 'live'";
const text = (selector) => `document.querySelector(${JSON.stringify(selector)}).textContent`;
const texts = (selector) => `[...document.querySelectorAll(${JSON.stringify(selector)})].map((element) => element.textContent)`;
const KEYS = texts("#incidents-body .expand");

/** Opens a scene in a window, and closes both when the check is done. */
async function withPage(scene, options, check) {
  const feeder = await startFeeder(scene);
  const page = await chromium.open(feeder.url, options);
  try {
    await page.until(CONNECTED);
    await check(page, feeder);
  } finally {
    await page.close();
    await feeder.stop();
  }
}

for (const scheme of ["light", "dark"]) {
  test(`in ${scheme} colours all that was fed is shown, without an error and without a request elsewhere`, async () => {
    await withPage("scripted", { scheme }, async (page, feeder) => {
      assert.deepEqual(await page.evaluate(KEYS), ["checkout", "payments", "cart", "catalogue"]);
      assert.deepEqual(await page.evaluate(texts("#incidents-body tbody td:first-child .pill")), ["ESCALATED", "CRITICAL", "MAJOR", "MINOR"]);
      assert.equal(await page.evaluate(text("#state-text")), "Running");
      assert.equal(await page.evaluate("document.title"), "(4) noc · Tocsin");
      assert.equal(await page.evaluate("document.querySelectorAll('.alarms > li').length"), 9);
      assert.deepEqual(await page.evaluate(texts(".kpis h2")), ["kpis", "hosts"]);
      assert.equal(await page.evaluate("document.querySelectorAll('.uplot canvas').length"), 3);
      assert.equal(await page.evaluate("document.querySelectorAll('.legend li').length"), 14);
      assert.equal(await page.evaluate("document.querySelectorAll('.flow .box').length"), 15);
      assert.equal(await page.evaluate("document.querySelectorAll('.nodes tbody tr').length"), 15);
      const light = await page.evaluate("matchMedia('(prefers-color-scheme: light)').matches");
      assert.equal(light, scheme === "light");
      const ground = await page.evaluate("getComputedStyle(document.body).backgroundColor");
      assert.equal(ground, scheme === "light" ? "rgb(244, 245, 243)" : "rgb(15, 19, 22)");
      assert.deepEqual(await page.evaluate(auditContrast), []);
      assert.ok(page.requests.length > 15, page.requests.join("\n"));
      assert.deepEqual(page.requests.filter((url) => !url.startsWith(feeder.url)), []);
      assert.deepEqual(page.errors, []);
    });
  });
}

test("the checks see what they look for", async () => {
  await withPage("empty", {}, async (page) => {
    await page.evaluate("document.querySelector('.empty p').style.color = '#bbb'");
    assert.equal((await page.evaluate(auditContrast)).length, 1);
    await page.evaluate("fetch('http://127.0.0.1:1/').catch(() => {})");
    await page.evaluate("document.head.append(Object.assign(document.createElement('style'), {textContent: 'p {color: red}'}))");
    await page.until("true");
    assert.ok(page.errors.some((error) => error.includes("connect-src") || error.includes("default-src")), page.errors.join("\n"));
    assert.ok(page.errors.some((error) => error.includes("inline style")), page.errors.join("\n"));
  });
});

test("what happens is shown without a reload", async () => {
  await withPage("scripted", {}, async (page, feeder) => {
    await page.evaluate("window.notReloaded = true");
    feeder.say("incident billing");
    await page.until(`${KEYS}.includes('billing')`);
    await page.until(`${text("#announcer")}.includes('New incident: CRITICAL billing')`);
    assert.equal(await page.evaluate("document.title"), "(5) noc · Tocsin");

    const shown = await page.evaluate(text(".clock-time"));
    feeder.say("advance 3");
    await page.until(`${text(".clock-time")} !== ${JSON.stringify(shown)}`);

    feeder.say("alarm billing");
    await page.until(`${text(".alarms li:first-child strong")} === 'billing'`);

    await page.evaluate("document.querySelector('#incidents-choice input[value=resolved]').click()");
    feeder.say("incident brief");
    feeder.say("resolve brief");
    await page.until(`${KEYS}[0] === 'brief'`);
    await page.evaluate("document.querySelector('#incidents-choice input[value=open]').click()");
    assert.ok(!(await page.evaluate(KEYS)).includes("brief"));
    assert.equal(await page.evaluate("window.notReloaded"), true);
    assert.deepEqual(page.errors, []);
  });
});

test("an incident opens by keyboard to show its causes, and stays open while it changes", async () => {
  await withPage("scripted", {}, async (page, feeder) => {
    await page.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent"), "Skip to open incidents");
    for (let i = 0; i < 12 && !(await page.evaluate("document.activeElement.matches('.expand')")); i += 1) await page.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent"), "checkout");
    await page.press("Enter");
    assert.equal(await page.evaluate("document.activeElement.getAttribute('aria-expanded')"), "true");
    assert.deepEqual(await page.evaluate(texts(".causes th")), ["escalated", "slow", "critical_burst", "hot_cpu"]);
    feeder.say("advance 6");
    await page.until(`${text(".detail .note")}.includes('checkout') && ${text(".causes td:last-child")} === '7\u00a0rows'`);
    assert.equal(await page.evaluate("document.activeElement.textContent"), "checkout");
    assert.equal(await page.evaluate("document.querySelectorAll('.detail:not([hidden])').length"), 1);
  });
});

test("a KPI's column and lines can be chosen, and stay chosen", async () => {
  await withPage("scripted", {}, async (page, feeder) => {
    await page.evaluate("document.querySelector('.choice input[value=p95_ms]').click()");
    await page.until(`${text(".kpis .legend li:first-child .legend-value")}.endsWith('ms')`);
    await page.evaluate("document.querySelector('.kpis .legend button').click()");
    assert.equal(await page.evaluate("document.querySelector('.kpis .legend button').getAttribute('aria-pressed')"), "false");
    const before = await page.evaluate(text(".kpis .legend"));
    feeder.say("advance 2");
    await page.until(`${text(".kpis .legend")} !== ${JSON.stringify(before)}`);
    assert.ok(await page.evaluate("document.querySelector('.choice input[value=p95_ms]').checked"));
    assert.equal(await page.evaluate("document.querySelectorAll('.kpis .legend [aria-pressed=false]').length"), 1);
    assert.deepEqual(page.errors, []);
  });
});

test("the colours can be chosen, and the choice is kept", async () => {
  await withPage("scripted", { scheme: "light" }, async (page) => {
    const ground = "getComputedStyle(document.body).backgroundColor";
    const light = await page.evaluate(ground);
    const press = () => page.evaluate("document.getElementById('theme').click()");
    await press();
    assert.deepEqual([await page.evaluate(text("#theme-text")), await page.evaluate(ground)], ["Light", light]);
    await press();
    assert.equal(await page.evaluate(text("#theme-text")), "Dark");
    const dark = await page.evaluate(ground);
    assert.notEqual(dark, light);
    assert.deepEqual(await page.evaluate(auditContrast), []);
    await page.reload();
    await page.until(CONNECTED);
    assert.equal(await page.evaluate(ground), dark);
    await press();
    assert.deepEqual([await page.evaluate(text("#theme-text")), await page.evaluate(ground)], ["Auto", light]);
  });
});

test("a run that has read nothing says what it waits for", async () => {
  await withPage("empty", {}, async (page) => {
    assert.equal(await page.evaluate(text("#state-text")), "Waiting for events");
    assert.deepEqual(await page.evaluate(texts(".empty p:last-child")), [
      "One opens as soon as one of escalated, hot_cpu, slow, critical_burst reports something.",
      "On watch: escalated, hot_cpu, slow, critical_burst.",
      "Waiting for alerts (generator), metrics (file).",
      "It begins with the first event of alerts, metrics.",
      "1m tumbling: waiting for the first event.",
      "5m tumbling: waiting for the first event.",
    ]);
    assert.deepEqual(await page.evaluate(auditContrast), []);
    assert.deepEqual(page.errors, []);
  });
});

test("the end of a run is said, and its results stay when the process ends", async () => {
  await withPage("scripted", {}, async (page, feeder) => {
    feeder.say("finish");
    await page.until(`${text("#state-text")} === 'Finished'`);
    assert.match(await page.evaluate(text("#banner")), /^All input was read: .* 9.incidents found, 4 still open\.$/);
    await feeder.stop();
    await page.until(`${text("#banner")}.endsWith("The run's process has ended; this is its last state.")`);
    assert.equal(await page.evaluate(text("#state-text")), "Finished");
    assert.equal((await page.evaluate(KEYS)).length, 4);
  });
});

test("a run that fails says why", async () => {
  await withPage("scripted", {}, async (page, feeder) => {
    feeder.say("fail the output's disk is full");
    await page.until(`${text("#state-text")} === 'Failed'`);
    assert.equal(await page.evaluate(text("#banner")), "The run could not go on: the output's disk is full");
    assert.deepEqual(await page.evaluate(auditContrast), []);
  });
});

test("a run that goes away is said, and the next one on its port is shown", async () => {
  const first = await startFeeder("scripted");
  const page = await chromium.open(first.url);
  await page.until(CONNECTED);
  await first.stop();
  await page.until(`${text("#state-text")} === 'Disconnected'`);
  assert.equal(await page.evaluate("document.getElementById('banner').hidden"), false);
  const next = await startFeeder("empty", new URL(first.url).port);
  assert.equal(next.url, first.url);
  await page.until(`${text("#state-text")} === 'Waiting for events'`, 30_000);
  assert.deepEqual(await page.evaluate(KEYS), []);
  assert.equal(await page.evaluate("document.querySelectorAll('.alarms li').length"), 0);
  await page.close();
  await next.stop();
});

test("text of events is never markup", async () => {
  await withPage("scripted", {}, async (page, feeder) => {
    const evil = "<img src=x onerror=console.error(1)>";
    feeder.say(`incident ${evil}`);
    feeder.say(`alarm ${evil}`);
    await page.until(`${KEYS}.includes(${JSON.stringify(evil)}) && ${text(".alarms li:first-child strong")} === ${JSON.stringify(evil)}`);
    assert.equal(await page.evaluate("document.querySelectorAll('img').length"), 0);
    assert.deepEqual(page.errors, []);
  });
});

test("the page fits windows of any width", async () => {
  for (const width of [320, 390, 600, 768, 1080, 1440, 2560]) {
    await withPage("scripted", { width }, async (page) => {
      await page.evaluate("document.querySelector('.expand').click()");
      const widths = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]");
      assert.ok(widths[0] <= widths[1], `${widths[0]} of ${widths[1]} pixels at ${width}`);
      const wide = await page.evaluate(`[...document.querySelectorAll('.plot')].filter((plot) => plot.firstElementChild.offsetWidth > plot.clientWidth).length`);
      assert.equal(wide, 0, `charts at ${width}`);
    });
  }
});

test("screen readers find tables, headings and named regions", async () => {
  await withPage("scripted", {}, async (page) => {
    assert.deepEqual(await page.evaluate(texts("h1, h2")), [
      "Tocsin noc", "Incidents", "Latest alarms", "Throughput", "Event time", "kpis", "hosts", "Pipeline",
    ]);
    assert.deepEqual(await page.evaluate(texts(".incidents thead th[scope=col]")), ["Severity", "Service", "Since", "Causes", "Events"]);
    assert.equal(await page.evaluate("document.getElementById('announcer').getAttribute('aria-live')"), "polite");
    const names = await page.accessibleNames();
    for (const [role, name] of [["region", "Incidents"], ["region", "Latest alarms"], ["region", "Pipeline"], ["region", "kpis"], ["main", ""]]) {
      assert.ok(names.some((node) => node.role === role && node.name === name), `${role} "${name}"`);
    }
    const unnamed = names.filter(({ role, name }) => ["button", "radio", "image", "region", "table"].includes(role) && name === "" && role !== "table");
    assert.deepEqual(unnamed, []);
  });
});
