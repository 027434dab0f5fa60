// Numbers, durations and times as text: with units, in English, in UTC. No access to the page.

const NBSP = "\u00a0";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const upToThree = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What stands where there is no value. */
export const NONE = "–";

/** A count in full: 48,210,334. */
export function count(n) {
  return n == null ? NONE : whole.format(n);
}

/** A number in three digits: 7, 0.0421, 57.3, 1,240, 12.0 k, 1.24 M. A tick of an axis has no zeros at its end. */
export function compact(n, isTick = false) {
  if (n == null || !Number.isFinite(n)) return NONE;
  const size = Math.abs(n);
  const digits = isTick ? upToThree : three;
  for (const [unit, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit * 0.9995 && size >= 9995) return digits.format(n / unit) + NBSP + letter;
  }
  return size >= 1000 || Number.isInteger(n) ? whole.format(n) : digits.format(n);
}

/** Rows or events a second: 0, 0.3, 3.5, 944, 3,891, 1.24 M. */
export function rate(n) {
  if (n == null) return NONE;
  if (n < 10) return n < 0.05 ? "0" : n.toFixed(1);
  return compact(n < 1000 ? Math.round(n) : n);
}

/** Bytes: 9.41 GB. */
export function bytes(n, isTick = false) {
  if (n == null) return NONE;
  for (const [unit, name] of [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (n >= unit * 0.9995) return `${(isTick ? upToThree : three).format(n / unit)}${NBSP}${name}`;
  }
  return `${whole.format(n)}${NBSP}B`;
}

/** One or more of something: "1 incident", "3 incidents". */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)}${NBSP}${n === 1 ? one : many}`;
}

/** A duration in its two largest units: 850 ms, 5.2 s, 1 min 20 s, 3 h 5 min, 2 d 4 h. */
export function duration(ms) {
  if (ms == null) return NONE;
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < SECOND) return `${Math.round(ms)}${NBSP}ms`;
  if (ms < 9950) return `${(ms / SECOND).toFixed(1).replace(/\.0$/, "")}${NBSP}s`;
  const seconds = Math.round(ms / SECOND) * SECOND;
  if (seconds < MINUTE) return `${seconds / SECOND}${NBSP}s`;
  if (seconds < HOUR) return pair(seconds, MINUTE, "min", SECOND, "s");
  const minutes = Math.round(ms / MINUTE) * MINUTE;
  if (minutes < DAY) return pair(minutes, HOUR, "h", MINUTE, "min");
  return pair(Math.round(ms / HOUR) * HOUR, DAY, "d", HOUR, "h");
}

function pair(ms, large, largeName, small, smallName) {
  const first = Math.floor(ms / large);
  const second = Math.floor((ms % large) / small);
  const text = `${count(first)}${NBSP}${largeName}`;
  return second === 0 ? text : `${text} ${second}${NBSP}${smallName}`;
}

/** The time a run has taken: 0:42, 12:07, 1:02:03. */
export function stopwatch(ms) {
  const seconds = Math.max(0, Math.floor(ms / SECOND));
  const two = (n) => String(n).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** Time of day: 14:53:07. */
export function timeOfDay(ms) {
  return ms == null ? NONE : new Date(ms).toISOString().slice(-13, -5);
}

/** Date: 2 Apr 2014. */
export function date(ms) {
  if (ms == null) return NONE;
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const day = new Date(ms);
  return `${day.getUTCDate()}${NBSP}${months[day.getUTCMonth()]} ${day.getUTCFullYear()}`;
}

/** Time of day; with the date unless `reference` is of the same day, or nearer than half a day. */
export function time(ms, reference) {
  if (ms == null) return NONE;
  const sameDay = reference != null && Math.floor(ms / DAY) === Math.floor(reference / DAY);
  const near = reference != null && Math.abs(ms - reference) < DAY / 2;
  return sameDay || near ? timeOfDay(ms) : `${date(ms).slice(0, -5)} ${timeOfDay(ms)}`;
}

/** Labels of a time axis whose ticks are `stepMs` apart: the date where a day begins, else the time of day. */
export function timeTicks(ticks, stepMs) {
  const sameDay = ticks.length > 0 && Math.floor(ticks[0] / DAY) === Math.floor(ticks.at(-1) / DAY);
  return ticks.map((ms) => {
    if (stepMs >= DAY || (!sameDay && ms % DAY === 0)) return date(ms).slice(0, -5);
    return stepMs >= MINUTE ? timeOfDay(ms).slice(0, 5) : timeOfDay(ms);
  });
}

/** How fast event time passes: "real time", "×3,600". */
export function speed(secondsPerSecond) {
  if (!(secondsPerSecond > 0.005)) return "standing";
  if (secondsPerSecond > 0.95 && secondsPerSecond < 1.05) return "real time";
  return `×${compact(secondsPerSecond)}`;
}

/** The unit that a column's name tells by its ending. */
export function unitOf(column) {
  const units = { ms: "ms", s: "s", seconds: "s", us: "µs", percent: "%", pct: "%", bytes: "B", celsius: "°C" };
  return units[column.split("_").at(-1).toLowerCase()] ?? "";
}

/** A value with its unit. */
export function quantity(value, unit, isTick = false) {
  if (value == null) return NONE;
  if (unit === "B") return bytes(value, isTick);
  return unit === "" ? compact(value, isTick) : `${compact(value, isTick)}${NBSP}${unit}`;
}

/** A key of one or several columns. */
export function keyText(key) {
  const texts = key.map((part) => (part === "" ? "(none)" : part));
  return texts.length === 0 ? "all" : texts.join(" · ");
}
