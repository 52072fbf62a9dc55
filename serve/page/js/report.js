// What was done to the frames, and where the time went.
import { make, seconds, sentence } from "./dom.js";

const REASONS = {
  synthesized: "Dubbed",
  no_face: "No face",
  profile: "Turned too far",
  too_small: "Face too small",
  other_speaker: "Somebody else",
  outside_span: "Outside the chosen time",
  no_speech: "After the speech",
};

const STAGES = {
  decode: "Decode",
  faces: "Find faces",
  parse: "Parse faces",
  audio: "Listen",
  tsg: "Move the mouth (TSG)",
  sgi: "Render the face (SGI)",
  paste: "Paste back",
  encode: "Encode",
  mux: "Join",
};
const SHORTEST_S = 0.05; // of a stage that is worth a line

export function drawReport(report) {
  const parts = [framesPart(report), timesPart(report.timings_s ?? {}), factsPart(report)];
  const notes = (report.warnings ?? []).map((text) => make("li", {}, sentence(text)));
  if (notes.length) parts.push(part("Notes", make("ul", { class: "notes" }, ...notes)));
  return parts;
}

const part = (title, ...content) => make("section", {}, make("h3", {}, title), ...content);

// One bar, a piece for each reason, and a legend that says the same in words.
function framesPart({ frames = {}, num_frames: total }) {
  const reasons = Object.keys(REASONS).filter((reason) => frames[reason]);
  const bar = make("div", { class: "bar", "aria-hidden": "true" });
  const legend = make("ul", { class: "bar-legend" });
  for (const reason of reasons) {
    const piece = make("span", { class: `piece ${reason}` });
    piece.style.flexGrow = frames[reason];
    bar.append(piece);
    const share = Math.round((100 * frames[reason]) / total);
    legend.append(
      make("li", {}, make("span", { class: `swatch ${reason}` }), `${REASONS[reason]}: ${frames[reason]} (${share} %)`),
    );
  }
  return part(`${total} frames`, bar, legend);
}

function timesPart(timings) {
  const rows = Object.entries(timings)
    .filter(([, value]) => value >= SHORTEST_S)
    .sort(([, a], [, b]) => b - a);
  const longest = rows[0]?.[1] || 1;
  const body = rows.map(([stage, value]) => {
    const bar = make("span", { class: "time-bar" });
    bar.style.width = `${(100 * value) / longest}%`;
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, STAGES[stage] ?? sentence(stage)),
      make("td", { class: "number" }, seconds(value)),
      make("td", { class: "time-cell", "aria-hidden": "true" }, bar),
    );
  });
  return part("Seconds of work", make("table", { class: "times" }, make("tbody", {}, ...body)));
}

function factsPart(report) {
  const facts = [
    ["Length", seconds(report.duration_s)],
    ["Speech", seconds(report.speech_duration_s)],
    ["Frame rate", `${report.frame_rate} per second`],
    ["Version", report.versions?.segtalker],
  ].filter(([, value]) => value);
  const rows = facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  return part("About", make("dl", { class: "facts" }, ...rows));
}
