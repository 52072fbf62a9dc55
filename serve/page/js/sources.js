// Step 1: the two files, chosen, dropped or taken from the samples.
import { getBlob, getJson } from "./api.js";
import { bytes, byId, isAbort, make, say } from "./dom.js";

// chosen: { video: File | null, speech: File | null }
export const chosen = { video: null, speech: null };

export const isPicture = (file) => file.type.startsWith("image/");

// onChange(kind) is called after a file was chosen, `kind` being "video" or "speech".
export function setUpSources(onChange) {
  for (const kind of ["video", "speech"]) setUpField(kind, onChange);
  // A file that misses the fields would otherwise replace the page.
  for (const event of ["dragover", "drop"]) {
    window.addEventListener(event, (e) => {
      if (e.target.type !== "file") e.preventDefault();
    });
  }
  listSamples(onChange);
}

function setUpField(kind, onChange) {
  const input = byId(`${kind}-file`);
  const zone = input.parentElement;
  input.addEventListener("change", () => {
    if (input.files.length) take(kind, input.files[0], onChange);
  });
  input.addEventListener("dragenter", () => zone.classList.add("over"));
  for (const event of ["dragleave", "drop"]) input.addEventListener(event, () => zone.classList.remove("over"));
}

function take(kind, file, onChange) {
  chosen[kind] = file;
  say(byId("sources-error"), file.size ? "" : `${file.name} is empty; choose another file.`);
  say(byId(`${kind}-name`), `${file.name}, ${bytes(file.size)}`);
  byId(`${kind}-source`).classList.add("has-file");
  if (kind === "speech") hear(file);
  onChange(kind);
}

let heard = null;

function hear(file) {
  const player = byId("speech-preview");
  if (heard) URL.revokeObjectURL(heard);
  heard = URL.createObjectURL(file);
  player.hidden = false;
  player.onerror = () => (player.hidden = true); // a codec that the browser lacks; the service may know it
  player.src = heard;
}

async function listSamples(onChange) {
  const place = byId("samples");
  let samples;
  try {
    samples = await getJson("page/samples.json");
  } catch {
    return; // samples are an offer; without them the page is complete
  }
  for (const sample of samples) {
    const picture = make("img", { src: `page/samples/${sample.picture}`, alt: "", width: 56, height: 56 });
    const text = make("span", {}, make("strong", {}, sample.title), make("span", { class: "hint" }, sample.about));
    const button = make("button", { type: "button", class: "sample" }, picture, text);
    button.addEventListener("click", () => takeSample(sample, button, onChange));
    place.append(button);
  }
  place.hidden = samples.length === 0;
}

async function takeSample(sample, button, onChange) {
  button.setAttribute("aria-busy", "true");
  try {
    const names = [sample.video, sample.speech];
    const blobs = await Promise.all(names.map((name) => getBlob(`page/samples/${name}`)));
    const files = blobs.map((blob, i) => new File([blob], names[i], { type: blob.type }));
    for (const kind of ["video", "speech"]) byId(`${kind}-file`).value = "";
    take("video", files[0], onChange);
    take("speech", files[1], onChange);
  } catch (error) {
    if (!isAbort(error)) say(byId("sources-error"), error.message);
  } finally {
    button.removeAttribute("aria-busy");
  }
}
