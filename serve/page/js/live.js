// The preview of edits: the frame that is shown, edited by the service; of several answers the last one counts.
import { askJson } from "./api.js";
import { byId, isAbort, say } from "./dom.js";
import { readEdits, readReferences } from "./edits.js";
import { seenFrame, showEdited } from "./faces.js";
import { readRegionMap } from "./regions.js";

const SETTLE_MS = 250; // controls rest before a frame is sent

let work = new AbortController();
let timer;

// Draw the preview anew, soon; without edits the frame is shown as it is.
export function refreshPreview() {
  clearTimeout(timer);
  work.abort();
  work = new AbortController();
  const { signal } = work;
  const edits = readEdits().filter(({ edit }) => edit !== "blink"); // which a still cannot show
  say(byId("edits-error"), "");
  if (!edits.length) {
    showEdited(null);
    show(false);
    return;
  }
  show(true);
  timer = setTimeout(() => draw(edits, signal), SETTLE_MS);
}

async function draw(edits, signal) {
  const frame = seenFrame();
  if (!frame) {
    show(false); // no video yet, or its faces are still looked for: their arrival asks again
    return;
  }
  try {
    const answer = await ask(frame, edits, signal);
    const [picture, map] = await Promise.all([readPicture(answer.picture), readRegionMap(answer.region_map)]);
    if (signal.aborted) return;
    showEdited({ picture, map, crop_from_frame: answer.crop_from_frame });
  } catch (error) {
    if (signal.aborted || isAbort(error)) return;
    showEdited(null);
    say(byId("edits-error"), error.message);
  }
  show(false);
}

async function ask({ canvas, speaker }, edits, signal) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  const form = new FormData();
  form.append("options", JSON.stringify({ speaker, edits }));
  form.append("image", blob, "frame.jpg");
  for (const { name, file } of readReferences()) form.append("reference", file, name);
  const headers = { Accept: "application/json" };
  return askJson("v1/edit:picture", { method: "POST", body: form, signal, headers });
}

function readPicture(base64) {
  const data = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([data], { type: "image/png" }));
}

function show(busy) {
  byId("speaker-body").setAttribute("aria-busy", String(busy));
  say(byId("edits-status"), busy ? "Drawing the preview…" : "");
}
