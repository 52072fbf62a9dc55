// Choices about a dub; an empty field leaves it to the operator of the service.
import { byId, make, say } from "./dom.js";

const SYNC_MODES = [
  ["cut_off", "Cut the longer one", "The result ends with the shorter of the two."],
  ["loop", "Repeat the video", "The video starts again until the speech is over."],
  ["bounce", "Play the video to and fro", "The video runs forward and backward until the speech is over."],
  ["silence", "Keep the video's length", "The speech is followed by silence, or cut."],
  ["remap", "Stretch the video", "The video plays slower or faster, so that both end together."],
];
const MAX_CRF = 51;

export function setUpOptions(onChange) {
  const select = byId("sync-mode");
  for (const [value, title] of SYNC_MODES) select.append(make("option", { value }, title));
  const explain = () => say(byId("sync-about"), SYNC_MODES.find(([value]) => value === select.value)[2]);
  select.addEventListener("change", explain);
  explain();
  for (const id of ["sync-mode", "crf", "save-maps"]) byId(id).addEventListener("input", onChange);
  byId("crf").addEventListener("input", () => markCrf(crfIsGood()));
}

// The options as the API takes them.
export function readOptions() {
  const options = { sync_mode: byId("sync-mode").value };
  if (byId("crf").value !== "" && crfIsGood()) options.crf = Number(byId("crf").value);
  if (byId("save-maps").checked) options.save_maps = true;
  return options;
}

// Whether all fields hold what they may; else the first wrong one says why and takes the focus.
export function checkOptions() {
  const good = crfIsGood();
  markCrf(good);
  if (!good) {
    byId("crf").closest("details").open = true;
    byId("crf").focus();
  }
  return good;
}

function crfIsGood() {
  const field = byId("crf");
  if (field.validity.badInput) return false;
  const value = Number(field.value);
  return field.value === "" || (Number.isInteger(value) && value >= 0 && value <= MAX_CRF);
}

function markCrf(good) {
  byId("crf").toggleAttribute("aria-invalid", false);
  if (!good) byId("crf").setAttribute("aria-invalid", "true");
  say(byId("crf-error"), good ? "" : `Write a whole number from 0 to ${MAX_CRF}, or leave the field empty.`);
}
