// Parts of which the controls of edits are made.
import { make, say, sentence } from "./dom.js";
import { regionTitle } from "./regions.js";

const STEP = 0.05;

// A labelled slider with its number: { row, value(), set(number) }; `set` tells nobody.
export function slider(id, title, [low, high], onInput) {
  const input = make("input", { type: "range", id, min: low, max: high, step: STEP, value: 0 });
  const output = make("output", { for: id, "aria-live": "off" });
  const value = () => Number(input.value);
  const show = () => say(output, low < 0 && value() > 0 ? `+${input.value}` : input.value);
  const set = (number) => {
    input.value = number;
    show();
  };
  input.addEventListener("input", () => {
    show();
    onInput();
  });
  show();
  return { row: make("div", { class: "slider" }, make("label", { for: id }, title), output, input), value, set };
}

// A list to choose from: [[value, title], ...].
export function choice(title, options, onInput) {
  const select = make("select", { "aria-label": title });
  for (const [value, text] of options) select.append(make("option", { value }, text));
  select.addEventListener("input", onInput);
  return select;
}

export const regionChoice = (title, regions, onInput) =>
  choice(title, regions.map((name) => [name, sentence(regionTitle(name))]), onInput);

export function colourPicker(title, colour, onInput) {
  const picker = make("input", { type: "color", value: colour, "aria-label": title });
  picker.addEventListener("input", onInput);
  return picker;
}

export function pictureChooser(title, onInput) {
  const chooser = make("input", { type: "file", accept: "image/*", "aria-label": title });
  chooser.addEventListener("change", onInput);
  return chooser;
}
