// Frames of the chosen video or portrait, as the browser decodes them.
import { isPicture } from "./sources.js";

const PARSE_PX = 1280; // longest side of a frame that is sent to the service
const LOAD_S = 60; // a browser's first video starts its decoder, which a busy machine delays

// What the file shows: { kind, width, height (pixels), duration (s), draw(canvas, time), close() }.
// Throws where this browser cannot show it; that says nothing about the service.
export async function openPreview(file) {
  const url = URL.createObjectURL(file);
  try {
    return isPicture(file) ? await openPicture(url) : await openVideo(url);
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error;
  }
}

// Canvas pixels -> pixels of the video.
export function videoScale(preview, canvas) {
  return preview.width / canvas.width;
}

async function openPicture(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return {
    kind: "picture",
    width: image.naturalWidth,
    height: image.naturalHeight,
    duration: 0,
    draw: async (canvas) => paint(canvas, image, image.naturalWidth, image.naturalHeight),
    close: () => URL.revokeObjectURL(url),
  };
}

async function openVideo(url) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.preload = "auto";
  video.src = url;
  await happens(video, "loadeddata");
  if (!video.videoWidth) throw new Error("no picture");
  return {
    kind: "video",
    width: video.videoWidth,
    height: video.videoHeight,
    duration: Number.isFinite(video.duration) ? video.duration : 0,
    draw: async (canvas, time) => {
      if (Math.abs(video.currentTime - time) > 1e-3) {
        const arrived = happens(video, "seeked");
        video.currentTime = time;
        await arrived;
      }
      paint(canvas, video, video.videoWidth, video.videoHeight);
    },
    close: () => {
      video.removeAttribute("src");
      video.load();
      URL.revokeObjectURL(url);
    },
  };
}

function happens(video, event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(reject, new Error("took too long")), LOAD_S * 1000);
    const good = () => settle(resolve);
    const bad = () => settle(reject, new Error("cannot be shown"));
    function settle(how, value) {
      clearTimeout(timer);
      video.removeEventListener(event, good);
      video.removeEventListener("error", bad);
      how(value);
    }
    video.addEventListener(event, good);
    video.addEventListener("error", bad);
  });
}

function paint(canvas, image, width, height) {
  const scale = Math.min(1, PARSE_PX / Math.max(width, height));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, 0, 0, canvas.width, canvas.height);
}
