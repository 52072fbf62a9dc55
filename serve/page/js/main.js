// Puts the steps of the page together.
import { getJson } from "./api.js";
import { curlCommands } from "./curl.js";
import { byId, say } from "./dom.js";
import { offerEdits, readEdits, readReferences, setUpEdits } from "./edits.js";
import { lookAtFrame, setUpFaces, showVideo, speaker } from "./faces.js";
import { isBusy, resumeJob, setUpJob, startJob } from "./job.js";
import { refreshPreview } from "./live.js";
import { checkOptions, readOptions, setUpOptions } from "./options.js";
import { clearResult, showResult } from "./result.js";
import { chosen, setUpSources } from "./sources.js";
import { onToken, setUpToken } from "./token.js";

function allOptions() {
  const edits = readEdits();
  return { speaker: speaker(), ...readOptions(), ...(edits.length && { edits }) };
}

function editsChanged() {
  refreshPreview();
  refresh();
}

function refresh() {
  const marks = { sources: chosen.video && chosen.speech, speaker: chosen.video, dub: !byId("result").hidden };
  for (const [id, done] of Object.entries(marks)) byId(id).classList.toggle("is-done", Boolean(done));
  say(byId("curl"), curlCommands(chosen, allOptions(), readReferences()));
}

function sourceChanged(kind) {
  say(byId("dub-error"), "");
  if (kind === "video") showVideo(chosen.video).then(refresh);
  refresh();
}

async function dub(event) {
  event.preventDefault();
  if (isBusy()) return;
  const missing = ["video", "speech"].find((kind) => !chosen[kind]);
  if (missing) {
    say(byId("dub-error"), `Choose ${missing === "video" ? "a video or a portrait" : "the speech"} first, in step 1.`);
    byId(`${missing}-file`).focus();
    return;
  }
  if (!checkOptions()) return;
  clearResult();
  refresh();
  const files = { ...chosen, references: readReferences() };
  const options = allOptions();
  const view = await startJob(files, options);
  if (view) await finish(view, files.video, options.sync_mode);
}

// Who waits at the keyboard where the button was is taken to the result; who is elsewhere is left alone.
async function finish(view, source, mode) {
  const waits = [document.body, byId("start"), byId("cancel")].includes(document.activeElement);
  await showResult(view, source, mode);
  refresh();
  if (!waits) return;
  byId("result-title").focus();
  byId("result").scrollIntoView({ block: "start" });
}

async function takeUp() {
  const id = new URLSearchParams(location.hash.slice(1)).get("job");
  if (!id) return;
  const view = await resumeJob(id);
  if (view) await finish(view, null);
}

async function copyCommands() {
  const text = byId("curl").textContent;
  try {
    await navigator.clipboard.writeText(text);
    say(byId("copy-status"), "Copied.");
  } catch {
    getSelection().selectAllChildren(byId("curl")); // the clipboard is closed to pages over plain http
    say(byId("copy-status"), "Selected; press Ctrl+C or ⌘C.");
  }
}

// What the service is and can do.
async function showAbout() {
  try {
    const models = await getJson("v1/models");
    const version = models.versions?.segtalker;
    if (version) say(byId("about"), `SegTalker ${version}`);
    offerEdits(models.edits);
  } catch {
    // a refusal has opened the token field; anything else shows with the first real request
  }
}

setUpToken();
setUpSources(sourceChanged);
setUpFaces(refresh, refreshPreview);
setUpEdits(editsChanged);
setUpOptions(refresh);
setUpJob();
byId("dub-form").addEventListener("submit", dub);
byId("copy").addEventListener("click", copyCommands);
onToken(() => {
  showAbout();
  lookAtFrame();
  refresh();
  if (!isBusy() && byId("result").hidden) takeUp();
});
refresh();
showAbout();
takeUp();
