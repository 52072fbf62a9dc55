// Step 2: the faces of one frame, and which of them speaks.
import { askJson } from "./api.js";
import { byId, isAbort, make, say, seconds, sentence } from "./dom.js";
import { openPreview, videoScale } from "./preview.js";
import { REGIONS, colourize, readRegionMap, regionTitle } from "./regions.js";
import { isPicture } from "./sources.js";

const TURNED_DEG = 60; // by default the service leaves faces as they are that are turned further
const LABEL_SHARE = 0.1; // of the frame's height: a face nearer to the top has its label inside
const SETTLE_MS = 250; // the slider rests before a frame is sent

let preview = null;
let work = new AbortController(); // of the frame that is being looked at
let faces = []; // of that frame: box in canvas pixels, yaw_deg, crop_from_frame, map { side, labels }
let point = null; // [x, y] in pixels of the video; null: the largest face
let edited = null; // the frame with edits: { picture, map, crop_from_frame } as of `faces`; null: none
let tellChange = () => {};
let tellSeen = () => {};

export const speaker = () => (point ? `point:${point[0]},${point[1]}` : "largest");

// onChange: another speaker was chosen; onSeen: another face is looked at, in this frame or another one.
export function setUpFaces(onChange, onSeen) {
  tellChange = onChange;
  tellSeen = onSeen;
  let timer;
  byId("frame-slider").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(lookAtFrame, SETTLE_MS);
  });
  byId("map-strength").addEventListener("input", drawMap);
  byId("compare").addEventListener("click", () => compare(byId("compare").getAttribute("aria-pressed") !== "true"));
  byId("speaker-largest").addEventListener("click", () => {
    choose(null);
    byId("boxes").querySelector("[aria-pressed=true]")?.focus();
  });
  for (const [name, colour] of REGIONS) {
    const swatch = make("span", { class: "swatch" });
    swatch.style.backgroundColor = `rgb(${colour.join(" ")})`;
    byId("legend").append(make("li", {}, swatch, sentence(regionTitle(name))));
  }
}

// The frame with a chosen face, and who that is in its pixels; null while there is none.
export function seenFrame() {
  if (chosenFace() < 0) return null;
  const canvas = byId("frame");
  const scale = videoScale(preview, canvas);
  const where = point?.map((v) => Math.round((v / scale) * 10) / 10);
  return { canvas, speaker: where ? `point:${where[0]},${where[1]}` : "largest" };
}

// Show the frame and the map with edits; null: as they are.
export function showEdited(result) {
  edited = result;
  const canvas = byId("edited");
  byId("compare").hidden = !edited;
  compare(false);
  if (edited) {
    canvas.width = edited.picture.width;
    canvas.height = edited.picture.height;
    canvas.getContext("2d").drawImage(edited.picture, 0, 0);
  }
  drawMap();
}

function compare(before) {
  byId("compare").setAttribute("aria-pressed", String(before));
  byId("edited").hidden = before || !edited;
}

// Show another video; faces and choice of the former one are forgotten.
export async function showVideo(file) {
  work.abort();
  work = new AbortController();
  const { signal } = work;
  preview?.close();
  preview = null;
  forget();
  byId("speaker-empty").hidden = true;
  byId("speaker-body").hidden = false;
  byId("frame-slider-row").hidden = true;
  byId("frame-fit").hidden = true;
  let opened;
  try {
    opened = await openPreview(file);
  } catch {
    if (!signal.aborted) noPreview(file);
    return;
  }
  if (signal.aborted) {
    opened.close();
    return;
  }
  preview = opened;
  const slider = byId("frame-slider");
  slider.max = Math.max(0, preview.duration - 0.05);
  slider.value = Math.min(0.2, preview.duration / 2);
  byId("frame-slider-row").hidden = preview.duration < 0.2;
  byId("frame-empty").hidden = true;
  byId("frame-fit").hidden = false;
  await lookAtFrame();
}

export async function lookAtFrame() {
  if (!preview) return;
  work.abort();
  work = new AbortController();
  const { signal } = work;
  const canvas = byId("frame");
  const time = Number(byId("frame-slider").value);
  say(byId("speaker-error"), "");
  try {
    await preview.draw(canvas, time);
    if (signal.aborted) return;
    byId("frame-fit").style.setProperty("--ratio", canvas.width / canvas.height);
    say(byId("frame-time"), preview.kind === "video" ? `at ${seconds(time)}` : "");
    forgetFaces();
    say(byId("speaker-status"), "Looking for faces…");
    const found = await findFaces(canvas, signal);
    if (!signal.aborted) showFaces(found);
  } catch (error) {
    if (signal.aborted || isAbort(error)) return;
    forgetFaces();
    say(byId("speaker-status"), "The largest face will speak.");
    say(byId("speaker-error"), error.message);
  }
}

async function findFaces(canvas, signal) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  const form = new FormData();
  form.append("image", blob, "frame.jpg");
  const answer = await askJson("v1/parse", { method: "POST", body: form, signal });
  return Promise.all(
    answer.faces.map(async (face) => ({ ...face, map: await readRegionMap(face.region_map) })),
  );
}

function showFaces(found) {
  faces = found;
  const canvas = byId("frame");
  const boxes = faces.map((face, i) => {
    const [left, top, right, bottom] = face.box;
    const box = make("button", { type: "button", class: "face" }, make("span", {}, String(i + 1)));
    box.classList.toggle("at-top", top < LABEL_SHARE * canvas.height);
    box.style.left = `${(100 * left) / canvas.width}%`;
    box.style.top = `${(100 * top) / canvas.height}%`;
    box.style.width = `${(100 * (right - left)) / canvas.width}%`;
    box.style.height = `${(100 * (bottom - top)) / canvas.height}%`;
    box.addEventListener("click", () => choose(centre(face)));
    return box;
  });
  byId("boxes").replaceChildren(...boxes);
  showChoice();
  tellSeen();
}

// The middle of a face in pixels of the video, to a tenth.
function centre({ box: [left, top, right, bottom] }) {
  const scale = videoScale(preview, byId("frame"));
  return [(left + right) / 2, (top + bottom) / 2].map((v) => Math.max(0, Math.round(v * scale * 10) / 10));
}

function choose(where) {
  point = where;
  showEdited(null);
  showChoice();
  tellChange();
  tellSeen();
}

// The face of this frame that the choice means, -1 if none does.
function chosenFace() {
  if (!preview) return -1;
  const areas = faces.map(({ box: [l, t, r, b] }) => (r - l) * (b - t));
  if (!point) return areas.indexOf(Math.max(...areas));
  const scale = videoScale(preview, byId("frame"));
  const [x, y] = point.map((v) => v / scale);
  return faces.findIndex(({ box: [l, t, r, b] }) => x >= l && x <= r && y >= t && y <= b);
}

function showChoice() {
  const number = chosenFace();
  [...byId("boxes").children].forEach((box, i) => {
    box.setAttribute("aria-pressed", String(i === number));
    const state = i === number ? "speaks" : "press to make it speak";
    box.setAttribute("aria-label", `Face ${i + 1} of ${faces.length}, ${state}`);
  });
  byId("speaker-largest").hidden = !point || (faces.length === 1 && number === 0);
  say(byId("speaker-status"), describe(number));
  drawMap();
}

function describe(number) {
  if (!faces.length) {
    const remedy = preview.kind === "video" ? "move the slider to another moment" : "take another picture";
    return `No face was found in this frame: ${remedy}.`;
  }
  const turned =
    Math.abs(faces[number]?.yaw_deg ?? 0) > TURNED_DEG
      ? " It looks too far aside here: frames like this one stay as they are."
      : "";
  if (point && number < 0) return "The chosen face is not in this frame.";
  if (point) return `Face ${number + 1} speaks.${turned}`;
  const more = faces.length > 1 ? " Press another one to make it speak." : "";
  return `The largest face speaks.${more}${turned}`;
}

function drawMap() {
  const canvas = byId("map");
  const face = faces[chosenFace()];
  canvas.hidden = !face;
  byId("map-empty").hidden = Boolean(face);
  byId("map-strength").parentElement.classList.toggle("blank", !face); // keeps its place
  say(byId("map-about"), face ? `face ${faces.indexOf(face) + 1}` : "");
  if (!face) return;
  const { map, crop_from_frame, picture } = edited ?? { ...face, picture: byId("frame") };
  canvas.width = canvas.height = map.side;
  const context = canvas.getContext("2d");
  const [[a, c, e], [b, d, f]] = crop_from_frame;
  context.setTransform(a, b, c, d, e, f);
  context.drawImage(picture, 0, 0);
  context.resetTransform();
  const layer = new OffscreenCanvas(map.side, map.side);
  layer.getContext("2d").putImageData(colourize(map), 0, 0);
  context.globalAlpha = Number(byId("map-strength").value) / 100;
  context.drawImage(layer, 0, 0);
}

function noPreview(file) {
  const what = isPicture(file) ? "picture" : "video";
  byId("frame-empty").hidden = false;
  say(byId("frame-empty"), `This browser cannot show this ${what}. It can be dubbed all the same.`);
  say(byId("speaker-status"), "The largest face will speak.");
}

function forget() {
  point = null;
  byId("speaker-largest").hidden = true;
  say(byId("frame-time"), "");
  say(byId("speaker-error"), "");
  say(byId("speaker-status"), "");
  forgetFaces();
}

function forgetFaces() {
  faces = [];
  byId("boxes").replaceChildren();
  showEdited(null);
}
