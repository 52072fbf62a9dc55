// Step 3: one dub, from the upload to its end.
import { ApiError, getJson, upload } from "./api.js";
import { byId, isAbort, roughly, say, seconds, sentence, sleep } from "./dom.js";
import { followJob, hasEnded } from "./events.js";
import { clearStages, completeStages, showStages } from "./stages.js";

const UPLOAD_TRIES = 5;
const LONGEST_WAIT_S = 20;

let work = null; // AbortController of the dub in progress
let id = null; // once the service has accepted it

export const isBusy = () => work !== null;

export function setUpJob() {
  byId("cancel").addEventListener("click", cancel);
}

// Upload and follow; `files` is { video, speech, references }. Returns the final state, or null where nothing came out.
export function startJob(files, options) {
  return run(async (signal) => {
    const view = await send(files, options, signal);
    return follow(view.id, signal);
  });
}

// Take up a job that was started before the page was loaded again.
export function resumeJob(known) {
  return run((signal) => follow(known, signal));
}

async function run(task) {
  work = new AbortController();
  id = null;
  say(byId("dub-error"), "");
  clearStages();
  showBusy(true);
  try {
    const view = await task(work.signal);
    return outcome(view);
  } catch (error) {
    if (isAbort(error)) {
      say(byId("dub-status"), "Cancelled.");
      forgetAddress();
    } else fail(error);
    return null;
  } finally {
    work = null;
    say(byId("eta"), "");
    showBusy(false);
  }
}

async function send({ video, speech, references }, options, signal) {
  const form = new FormData();
  // Small fields first: the service can refuse them before the files have been sent.
  form.append("options", JSON.stringify(options));
  form.append("video", video, video.name);
  form.append("speech", speech, speech.name);
  for (const { name, file } of references) form.append("reference", file, name);
  const headers = { "Idempotency-Key": randomKey() }; // however often it is sent, it is one job
  const onProgress = (done, total) => showStages([{ stage: "uploading", done, total, unit: "B" }]);
  for (let failures = 0; ; ) {
    say(byId("dub-status"), "Uploading…");
    try {
      return await upload("v1/dubs", form, { headers, onProgress, signal });
    } catch (error) {
      failures += 1;
      if (!(error instanceof ApiError && error.isPassing) || failures >= UPLOAD_TRIES) throw error;
      const wait = Math.min(error.retryAfterS ?? 2 ** failures, LONGEST_WAIT_S);
      say(byId("dub-status"), `${error.message} Trying again in ${seconds(wait)}.`);
      await sleep(wait, signal);
    }
  }
}

function follow(jobId, signal) {
  id = jobId;
  history.replaceState(null, "", `#job=${encodeURIComponent(id)}`);
  say(byId("dub-status"), "Accepted; waiting for its turn.");
  return followJob(id, showView, signal);
}

function showView(view) {
  showStages(view.progress ?? []);
  if (hasEnded(view)) return;
  const current = view.progress?.at(-1);
  if (view.state === "queued") say(byId("dub-status"), "Accepted; waiting for its turn.");
  else say(byId("dub-status"), current ? `${sentence(current.stage)}…` : "Started…");
  say(byId("eta"), Number.isFinite(view.eta_s) ? `${roughly(view.eta_s)} left` : "");
}

function outcome(view) {
  if (view.state === "done") {
    const took = view.ended && view.started ? ` in ${seconds(view.ended - view.started)}` : "";
    completeStages();
    say(byId("dub-status"), `Done${took}.`);
    return view;
  }
  forgetAddress();
  if (view.state === "cancelled") say(byId("dub-status"), "Cancelled.");
  else fail(new Error(view.error ?? "The dub failed without saying why; tell the operator of the service."));
  return null;
}

function fail(error) {
  say(byId("dub-status"), "");
  say(byId("dub-error"), error.message);
  if (error.status === 404) forgetAddress();
}

async function cancel() {
  const jobId = id;
  const aborted = work;
  say(byId("dub-status"), "Cancelling…");
  try {
    const path = `v1/dubs/${encodeURIComponent(jobId)}?keep_ended=true`;
    const view = jobId && (await getJson(path, { method: "DELETE" }));
    if (!view || view.state === "cancelled") aborted?.abort(); // one that has just ended shows its result
  } catch (error) {
    say(byId("dub-error"), error.message); // it runs on, and so does the progress
  }
}

function showBusy(busy) {
  const [shown, hidden] = busy ? [byId("cancel"), byId("start")] : [byId("start"), byId("cancel")];
  const moved = document.activeElement === hidden;
  shown.hidden = false;
  hidden.hidden = true;
  if (moved) shown.focus(); // the keyboard stays where the button was
  byId("dub").setAttribute("aria-busy", String(busy));
}

function forgetAddress() {
  history.replaceState(null, "", location.pathname + location.search);
}

// `crypto.randomUUID` is missing on pages that come over plain http from another machine.
const randomKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
