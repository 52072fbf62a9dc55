// Step 4: the result beside its source, its files, its report.
import { getBlob } from "./api.js";
import { byId, icon, make, say } from "./dom.js";
import { linkPlayers } from "./player.js";
import { drawReport } from "./report.js";
import { isPicture } from "./sources.js";

let urls = []; // of the blobs that the page shows; a video in memory is given back with the next result
let unlink = () => {};

export function clearResult() {
  unlink();
  unlink = () => {};
  for (const id of ["before", "after", "downloads", "report"]) byId(id).replaceChildren();
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  say(byId("result-error"), "");
  byId("result").hidden = true;
}

// view: a finished job. source: the video or portrait as it was sent, null after a reload of the page.
export async function showResult(view, source, mode) {
  clearResult();
  const path = `v1/dubs/${encodeURIComponent(view.id)}`;
  const stem = (source?.name ?? view.id).replace(/\.[^.]*$/, "");
  byId("result").hidden = false;
  try {
    const [video, report] = await Promise.all([getBlob(`${path}/video`), getBlob(`${path}/report`)]);
    play(hold(video), source, mode);
    offer("Video", `${stem}.dubbed.mp4`, video, "primary");
    offer("Report", `${stem}.report.json`, report);
    byId("report").replaceChildren(...drawReport(JSON.parse(await report.text())));
    if (view.files?.maps) offer("Region maps", `${stem}.maps.mp4`, await getBlob(`${path}/maps`));
  } catch (error) {
    say(byId("result-error"), error.message);
  }
}

function hold(blob) {
  const url = URL.createObjectURL(blob);
  urls.push(url);
  return url;
}

function play(url, source, mode) {
  const after = screen(url, "Result");
  byId("after").replaceChildren(after);
  byId("before-view").hidden = !source;
  let before = null;
  if (source && isPicture(source)) {
    byId("before").replaceChildren(make("img", { src: hold(source), alt: "The portrait as it was sent" }));
  } else if (source) {
    before = screen(hold(source), "Source");
    before.muted = true;
    byId("before").replaceChildren(before);
  }
  byId("transport").hidden = false;
  after.addEventListener("error", () => (byId("transport").hidden = true));
  unlink = linkPlayers(after, before, mode);
}

function screen(url, name) {
  const video = make("video", { src: url, playsinline: true, preload: "auto", "aria-label": name });
  video.addEventListener("error", () => {
    const advice = name === "Result" ? " Download it to see it." : "";
    video.replaceWith(make("p", { class: "empty" }, `This browser cannot play this video.${advice}`));
  });
  return video;
}

function offer(title, fileName, blob, kind = "") {
  const link = make("a", { class: `button ${kind}`, href: hold(blob), download: fileName }, icon("down"), title);
  byId("downloads").append(link);
}
