// What else changes about the face: controls made of what the service says it can do, and their recipe.
import { colourPicker, slider } from "./controls.js";
import { byId, sentence } from "./dom.js";
import { clearLenders, lenders, offerLenders } from "./lenders.js";

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
const USUAL = 0.7; // strength of a colour that is picked
const BLINKS = [0, 0.6]; // a second; more than anybody blinks while talking

let tellChange = () => {};
let isOffered = false;
const controls = []; // { read(): an edit or null, reset() }

export function setUpEdits(onChange) {
  tellChange = onChange;
  byId("edits-reset").addEventListener("click", reset);
}

// Build the controls once the service has said what it can do; one that says nothing has none.
export function offerEdits(told) {
  if (isOffered || !told) return;
  isOffered = true;
  const { kinds } = told;
  if (kinds.blink) {
    const title = "Natural blinks a second";
    addSlider("blink", title, BLINKS, (rate) => ({ edit: "blink", rate })).setAttribute("aria-describedby", "blink-hint");
  }
  byId("blink-hint").hidden = !kinds.blink;
  for (const [name, { amounts, needs, takes }] of Object.entries(kinds)) {
    if (needs.length || takes.length) continue; // more than an amount: it has controls of its own, or none
    const title = TITLES[name] ?? sentence(name.replaceAll("_", " "));
    addSlider(name, title, amounts, (amount) => ({ edit: name, amount }));
  }
  if (kinds.recolour) COLOURED.forEach(([region, title, colour]) => addColour(region, title, colour));
  offerLenders(told, tellChange);
  byId("edits").hidden = false;
}

// The recipe in the form of the API; every number 0 means that nothing is asked for.
export function readEdits() {
  return [...controls, ...lenders].map((control) => control.read()).filter(Boolean);
}

// Files that the recipe names: [{ name, file }], each under the name that it has in the recipe.
export function readReferences() {
  return [...lenders].filter((lender) => lender.file && lender.read()).map(({ file, name }) => ({ file, name }));
}

function addSlider(name, title, amounts, edit) {
  const { row, value, set } = slider(`edit-${name}`, title, amounts, tellChange);
  byId("edit-sliders").append(row);
  controls.push({ read: () => (value() ? edit(value()) : null), reset: () => set(0) });
  return row.querySelector("input");
}

function addColour(region, title, colour) {
  const { row, value, set } = slider(`edit-${region}`, `${title}: strength`, [0, 1], tellChange);
  const picker = colourPicker(`${title}: colour`, colour, () => {
    if (!value()) set(USUAL);
    tellChange();
  });
  row.classList.add("coloured");
  row.prepend(picker);
  byId("edit-colours").append(row);
  const edit = () => ({ edit: "recolour", region, colour: picker.value, amount: value() });
  controls.push({
    read: () => (value() ? edit() : null),
    reset: () => {
      picker.value = colour;
      set(0);
    },
  });
}

function reset() {
  for (const control of controls) control.reset();
  clearLenders();
  tellChange();
}
