// What else changes about the face: controls made of what the service says it can do, and their recipe.
import { byId, make, say, sentence } from "./dom.js";
import { regionTitle } from "./regions.js";

const TITLES = {
  raise_brows: "Brows lower or higher",
  frown: "Frown",
  open_mouth: "Mouth opens less or more",
  thicken_lips: "Lips thinner or thicker",
  close_eyes: "Eyes closed",
};
const COLOURED = [
  ["lip", "Lips", "#b3123f"],
  ["hair", "Hair", "#a4552b"],
  ["eyebrows", "Brows", "#5a3a26"],
  ["eyes", "Eyes", "#2f5fb3"],
];
const USUAL = 0.7; // strength of a colour that is picked, or of a texture that is chosen
const BLINKS = 0.6; // a second, more than anybody blinks while talking
const STEP = 0.05;
const LONGEST_NAME = 100;

let known = null; // { kinds, regions, most_references } of the service
let tellChange = () => {};
const readers = []; // of edits, one for each control; each gives an edit or null
const lenders = new Set(); // rows with a reference

export function setUpEdits(onChange) {
  tellChange = onChange;
  byId("edits-reset").addEventListener("click", reset);
  byId("add-reference").addEventListener("click", () => addReference().querySelector("input").focus());
}

// Build the controls once the service has said what it can do; one that says nothing has none.
export function offerEdits(told) {
  if (known || !told) return;
  known = told;
  const { kinds } = known;
  if (kinds.blink) {
    addSlider("blink", "Natural blinks a second", [0, BLINKS], (rate) => ({ edit: "blink", rate }));
    byId("edit-blink").setAttribute("aria-describedby", "blink-hint");
  }
  byId("blink-hint").hidden = !kinds.blink;
  const plain = Object.entries(kinds).filter(([name, kind]) => name !== "blink" && !kind.needs.length);
  for (const [name, { amounts }] of plain) {
    const title = TITLES[name] ?? sentence(name.replaceAll("_", " "));
    addSlider(name, title, amounts, (amount) => ({ edit: name, amount }));
  }
  if (kinds.recolour) COLOURED.forEach(([region, title, colour]) => addColour(region, title, colour));
  byId("edit-colours").hidden = !kinds.recolour;
  byId("edit-textures").hidden = !kinds.texture;
  byId("edits").hidden = false;
}

// The recipe in the form of the API; every number 0 means that nothing is asked for.
export function readEdits() {
  return [...readers, ...[...lenders].map((row) => row.read)].map((read) => read()).filter(Boolean);
}

// Files that the recipe names: [{ name, file }], each under the name that it has in the recipe.
export function readReferences() {
  return [...lenders].filter((row) => row.read()).map(({ file, name }) => ({ file, name }));
}

function addSlider(name, title, [low, high], edit) {
  const { row, value } = slider(`edit-${name}`, title, low, high);
  byId("edit-sliders").append(row);
  readers.push(() => (value() ? edit(value()) : null));
}

function addColour(region, title, colour) {
  const { row, input, value, set } = slider(`edit-${region}`, `${title}: strength`, 0, 1);
  const picker = make("input", { type: "color", value: colour, "aria-label": `${title}: colour` });
  picker.dataset.first = colour;
  picker.addEventListener("input", () => {
    if (!value()) set(USUAL);
    tellChange();
  });
  byId("edit-colours").append(make("div", { class: "coloured" }, picker, row));
  input.dataset.region = region;
  const edit = () => ({ edit: "recolour", region, colour: picker.value, amount: value() });
  readers.push(() => (value() ? edit() : null));
}

// A row of the list of textures: a picture, the region that it lends, and how much of it.
function addReference() {
  const id = `reference-${Date.now()}-${lenders.size}`;
  const file = make("input", { type: "file", accept: "image/*", "aria-label": "Picture that lends a texture" });
  const region = make("select", { "aria-label": "Region that it lends" });
  for (const name of known.regions) region.append(make("option", { value: name }, sentence(regionTitle(name))));
  region.value = "hair";
  const { row, value, set } = slider(id, "Strength", 0, 1);
  set(USUAL);
  const remove = make("button", { type: "button", class: "button" }, "Remove");
  const lender = make("div", { class: "lender", role: "group", "aria-label": "Texture" }, file, region, row, remove);
  const state = { file: null, name: "" };
  state.read = () =>
    state.file && value()
      ? { edit: "texture", region: region.value, reference: state.name, amount: value() }
      : null;
  file.addEventListener("change", () => {
    state.file = file.files[0] ?? null;
    state.name = state.file ? freeName(state) : "";
    tellChange();
  });
  region.addEventListener("change", () => tellChange());
  remove.addEventListener("click", () => {
    lenders.delete(state);
    lender.remove();
    showRoom();
    byId("add-reference").focus();
    tellChange();
  });
  lenders.add(state);
  byId("references").append(lender);
  showRoom();
  return lender;
}

// The file's name as it survives a form: the service finds a reference by it.
function freeName(state) {
  const plain = state.file.name.replace(/[^\p{L}\p{N}._ -]/gu, "_").slice(-LONGEST_NAME);
  const taken = [...lenders].filter((other) => other !== state).map(({ name }) => name);
  let name = plain;
  for (let number = 2; taken.includes(name); number += 1) name = `${number}-${plain}`;
  return name;
}

function showRoom() {
  byId("add-reference").hidden = lenders.size >= known.most_references;
}

function slider(id, title, low, high) {
  const input = make("input", { type: "range", id, min: low, max: high, step: STEP, value: 0 });
  const output = make("output", { for: id, "aria-live": "off" });
  const value = () => Number(input.value);
  const show = () => say(output, value() && low < 0 && value() > 0 ? `+${input.value}` : input.value);
  const set = (number) => {
    input.value = number;
    show();
  };
  input.addEventListener("input", () => {
    show();
    tellChange();
  });
  input.addEventListener("segtalker:reset", () => set(0));
  show();
  const row = make("div", { class: "slider" }, make("label", { for: id }, title), output, input);
  return { row, input, value, set };
}

function reset() {
  for (const input of byId("edits").querySelectorAll("input[type=range]")) {
    input.dispatchEvent(new Event("segtalker:reset"));
  }
  for (const picker of byId("edits").querySelectorAll("input[type=color]")) picker.value = picker.dataset.first;
  lenders.clear();
  byId("references").replaceChildren();
  showRoom();
  tellChange();
}
