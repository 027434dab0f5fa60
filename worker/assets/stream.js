// The stream of server-sent events: a snapshot, then what changes. Connects again when it is lost.

/** The server sends something at least every five seconds. */
const SILENCE_MS = 20_000;
const PAUSES_MS = [1000, 2000, 5000, 10_000, 30_000];

/** Calls `onView(view)` for each message, `onStatus(status)` with "live" or "disconnected" when that changes. */
export function listen(onView, onStatus) {
  let failures = 0;
  let silence = null;

  const connect = () => {
    const source = new EventSource("/api/events");
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(lost, SILENCE_MS);
      failures = 0;
      onStatus("live");
    };
    const lost = () => {
      clearTimeout(silence);
      source.close();
      onStatus("disconnected");
      setTimeout(connect, PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)]);
      failures += 1;
    };
    const view = (message) => {
      heard();
      onView(JSON.parse(message.data));
    };
    source.addEventListener("snapshot", view);
    source.addEventListener("changes", view);
    source.addEventListener("heartbeat", heard);
    source.onerror = lost;
  };
  connect();
}
