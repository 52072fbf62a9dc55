// Following a job: server-sent events, taken up again when the line breaks, and polling when they do not work.
// EventSource cannot send an Authorization header, so the stream is read with fetch.
import { ApiError, call, getJson } from "./api.js";
import { sleep } from "./dom.js";

const STREAM_TRIES = 3; // in a row without a single event, before polling takes over
const SILENCE_S = 30; // the service sends at least a comment every 10 s
const POLL_S = 1;
const POLL_TRIES = 60; // in a row without an answer, before we give up
const LONGEST_WAIT_S = 10;

export const hasEnded = (view) => ["done", "failed", "cancelled"].includes(view.state);

// Calls `onView` with every new state of the job; returns the last one.
export async function followJob(id, onView, signal) {
  const path = `v1/dubs/${encodeURIComponent(id)}`;
  for (let failures = 0; failures < STREAM_TRIES; ) {
    try {
      await listen(`${path}/events`, signal, (view) => {
        failures = 0;
        onView(view);
      });
      return await poll(path, onView, signal); // the end was told: one look at the final state
    } catch (error) {
      if (signal.aborted || isFinal(error)) throw error;
      failures += 1;
      if (failures < STREAM_TRIES) await sleep(2 ** failures / 4, signal);
    }
  }
  return poll(path, onView, signal);
}

const isFinal = (error) => error instanceof ApiError && !error.isPassing && error.status < 500 && error.status !== 406;

// Returns when the service says `end`; throws when the stream breaks off before.
async function listen(path, signal, onView) {
  const quiet = new AbortController();
  let watchdog = setTimeout(() => quiet.abort(), SILENCE_S * 1000);
  const stop = () => quiet.abort();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const response = await call(path, { headers: { Accept: "text/event-stream" }, signal: quiet.signal });
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) throw new Error("no events");
    for await (const event of parseEvents(response.body, () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => quiet.abort(), SILENCE_S * 1000);
    })) {
      if (event.name === "progress") onView(JSON.parse(event.data));
      if (event.name === "end") return;
    }
    throw new Error("the stream broke off");
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", stop);
    quiet.abort();
  }
}

async function* parseEvents(body, onBytes) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onBytes();
    text = (text + decoder.decode(value, { stream: true })).replace(/\r\n?/g, "\n");
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) yield parseEvent(block);
  }
}

function parseEvent(block) {
  const event = { name: "message", data: "" };
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (field === "event") event.name = value;
    if (field === "data") event.data += event.data ? `\n${value}` : value;
  }
  return event;
}

async function poll(path, onView, signal) {
  for (let failures = 0; ; ) {
    let wait = POLL_S;
    try {
      const view = await getJson(path, { signal });
      failures = 0;
      onView(view);
      if (hasEnded(view)) return view;
    } catch (error) {
      failures += 1;
      if (signal.aborted || isFinal(error) || failures >= POLL_TRIES) throw error;
      wait = error.retryAfterS ?? Math.min(POLL_S * failures, LONGEST_WAIT_S);
    }
    await sleep(wait, signal);
  }
}
