// Edits that take something from elsewhere: a texture from a picture or from nobody, another background.
import { choice, colourPicker, pictureChooser, regionChoice, slider } from "./controls.js";
import { byId, make } from "./dom.js";

const USUAL = 0.7; // strength of a texture that is chosen
const BLUR = 20; // thousandths of the frame's height
const BACKGROUNDS = { blur: "Blurred", colour: "One colour", file: "A picture" };
const GROUND = "#204060";
const MOST_PEOPLE = 100000; // numbers of people who do not exist
const LONGEST_NAME = 100;

// { read(): an edit or null, file, name } of each; a file has its name in the recipe.
export const lenders = new Set();

let most = 0;
let tellChange = () => {};
let numMade = 0;
let resetBackground = () => {};

export function offerLenders({ kinds, regions, most_references }, onChange) {
  most = most_references;
  tellChange = onChange;
  offerRows("add-reference", kinds.texture, () => addReference(regions));
  offerRows("add-style", kinds.style?.needs.length === 1, () => addStyle(regions));
  const grounds = Object.entries(BACKGROUNDS).filter(([field]) => kinds.background?.takes.includes(field));
  byId("edit-background").hidden = !grounds.length;
  if (grounds.length) offerBackground(grounds);
}

export function clearLenders() {
  lenders.clear();
  byId("lenders").replaceChildren();
  resetBackground();
  showRoom();
}

function offerRows(id, isOffered, add) {
  const button = byId(id);
  button.hidden = !isOffered;
  if (isOffered) button.addEventListener("click", () => add().querySelector("input").focus());
}

function addReference(regions) {
  const chooser = pictureChooser("Picture that lends a texture", () => {
    take(lender, chooser.files[0] ?? null);
    tellChange();
  });
  const edit = () => lender.file && { edit: "texture", reference: lender.name };
  const lender = addRow("Texture of a picture", regions, chooser, edit);
  return lender.row;
}

function addStyle(regions) {
  const number = make("input", { type: "number", min: 0, max: MOST_PEOPLE, step: 1, value: numMade + 1 });
  number.setAttribute("aria-label", "Number of a person who does not exist");
  number.addEventListener("input", () => tellChange());
  const edit = () => number.value !== "" && number.validity.valid && { edit: "style", seed: Number(number.value) };
  const { row } = addRow("Texture of nobody", regions, number, edit);
  tellChange();
  return row;
}

// A row of the list: what lends, the region that it lends, how much of it, and a button to take it back.
function addRow(title, regions, input, edit) {
  const region = regionChoice("Region that it lends", regions, () => tellChange());
  region.value = regions.includes("hair") ? "hair" : regions[0];
  numMade += 1;
  const strength = slider(`lender-${numMade}`, "Strength", [0, 1], () => tellChange());
  strength.set(USUAL);
  const remove = make("button", { type: "button", class: "button" }, "Remove");
  const row = make("div", { class: "lender", role: "group", "aria-label": title }, input, region, strength.row, remove);
  const read = () => {
    const kind = strength.value() && edit();
    return kind ? { ...kind, region: region.value, amount: strength.value() } : null;
  };
  const lender = { file: null, name: "", read, row };
  remove.addEventListener("click", () => {
    lenders.delete(lender);
    row.remove();
    showRoom();
    byId("edits-reset").focus();
    tellChange();
  });
  lenders.add(lender);
  byId("lenders").append(row);
  showRoom();
  return lender;
}

function offerBackground(grounds) {
  const picker = colourPicker("Background: colour", GROUND, () => tellChange());
  const lender = { file: null, name: "" };
  const chooser = pictureChooser("Background: picture", () => {
    take(lender, chooser.files[0] ?? null);
    tellChange();
  });
  const strength = slider("edit-background-strength", "Background: strength", [0, 1], () => tellChange());
  const kind = choice("Background", [["", "Background as it is"], ...grounds], () => {
    showFields();
    tellChange();
  });
  const showFields = () => {
    picker.hidden = kind.value !== "colour";
    chooser.hidden = kind.value !== "file";
    strength.row.hidden = kind.value === "";
  };
  lender.read = () => {
    const fields = { blur: { blur: BLUR }, colour: { colour: picker.value }, file: lender.file && { file: lender.name } };
    const chosen = strength.value() && fields[kind.value];
    return chosen ? { edit: "background", ...chosen, amount: strength.value() } : null;
  };
  resetBackground = () => {
    lenders.add(lender);
    take(lender, null);
    kind.value = chooser.value = "";
    strength.set(1);
    showFields();
  };
  byId("edit-background").append(kind, picker, chooser, strength.row);
  resetBackground();
}

// The file under a name that survives a form, and that no other has: the service finds it by that.
function take(lender, file) {
  lender.file = file;
  lender.name = "";
  if (!file) return;
  const plain = file.name.replace(/[^\p{L}\p{N}._ -]/gu, "_").slice(-LONGEST_NAME);
  const taken = [...lenders].map(({ name }) => name);
  let name = plain;
  for (let number = 2; taken.includes(name); number += 1) name = `${number}-${plain}`;
  lender.name = name;
}

function showRoom() {
  byId("lender-buttons").hidden = byId("lenders").childElementCount >= most;
}
