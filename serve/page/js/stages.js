// The list of stages of a dub, each with its bar.
import { bytes, byId, make, say, sentence } from "./dom.js";

export function clearStages() {
  byId("stages").replaceChildren();
  byId("stages").hidden = true;
}

// stages: [{ stage, done, total | null, unit }] in order, the last one being current. Stages that are not
// named any more stay as they were: the upload comes before the first one that the service tells.
export function showStages(stages) {
  const list = byId("stages");
  list.hidden = list.hidden && stages.length === 0;
  for (const stage of stages) {
    const row = [...list.children].find((item) => item.dataset.stage === stage.stage) ?? addRow(stage.stage);
    fill(row, stage);
  }
  const last = stages.at(-1)?.stage;
  for (const row of list.children) if (row.dataset.stage !== last) complete(row);
}

// The job is done: the last words about its last stage may have been told a moment before.
export function completeStages() {
  for (const row of byId("stages").children) complete(row);
}

// A stage that another one has followed is done, whatever was told of it last.
function complete(row) {
  row.classList.add("is-done");
  const bar = row.querySelector("progress");
  bar.value = bar.max;
  const [, total] = /of (.*)$/.exec(row.querySelector(".stage-count").textContent) ?? [];
  if (total) say(row.querySelector(".stage-count"), total);
}

function addRow(stage) {
  const bar = make("progress", { "aria-label": sentence(stage) });
  const row = make(
    "li",
    { class: "stage", "data-stage": stage },
    make("span", { class: "stage-name" }, sentence(stage)),
    bar,
    make("span", { class: "stage-count" }),
  );
  byId("stages").append(row);
  return row;
}

function fill(row, { done, total, unit }) {
  const bar = row.querySelector("progress");
  if (total) {
    bar.max = total;
    bar.value = Math.min(done, total);
  } else bar.removeAttribute("value"); // how much there is to do is not known
  row.classList.toggle("is-done", Boolean(total) && done >= total);
  say(row.querySelector(".stage-count"), amount(done, total, unit));
}

function amount(done, total, unit) {
  if (unit === "B") return total ? `${bytes(done)} of ${bytes(total)}` : bytes(done);
  const units = (count) => (count === 1 ? unit : `${unit}s`);
  return total ? `${done} of ${total} ${units(total)}` : `${done} ${units(done)}`;
}
