// Two videos that play together: the result leads and is heard, the source follows in silence.
import { byId, say } from "./dom.js";

const DRIFT_S = 0.08; // two frames at 25 fps

// Which moment of a source of `length` seconds stands in the result at `time`; lasts as long as `total`.
export function sourceTime(mode, time, length, total) {
  if (!length) return 0;
  if (mode === "loop") return time % length;
  if (mode === "bounce") return length - Math.abs(length - (time % (2 * length)));
  if (mode === "remap") return (time * length) / total;
  return Math.min(time, length);
}

// before: a video, or null where there is none to play. Returns a function that takes the links away.
export function linkPlayers(after, before, mode) {
  const controller = new AbortController();
  const { signal } = controller;
  const [play, mute, seek] = ["play", "mute", "seek"].map(byId);
  const on = (target, event, listener) => target.addEventListener(event, listener, { signal });

  const align = (tolerance) => {
    if (!before?.duration) return;
    const wanted = sourceTime(mode, after.currentTime, before.duration, after.duration);
    if (Math.abs(before.currentTime - wanted) > tolerance) before.currentTime = wanted;
  };
  const follow = () => {
    if (signal.aborted) return;
    show();
    align(DRIFT_S);
    if (!after.paused) requestAnimationFrame(follow);
  };
  const show = () => {
    seek.value = after.currentTime;
    const text = `${after.currentTime.toFixed(1)} of ${(after.duration || 0).toFixed(1)} s`;
    say(byId("clock"), text);
    seek.setAttribute("aria-valuetext", text);
  };
  const toggle = () => (after.paused ? after.play().catch(() => {}) : after.pause());
  const label = (button, name, symbol) => {
    button.setAttribute("aria-label", name);
    button.querySelector("use").setAttribute("href", `#i-${symbol}`);
  };

  on(play, "click", toggle);
  on(after, "click", toggle);
  if (before) {
    on(before, "click", toggle);
    on(before, "loadedmetadata", () => align(0.01));
  }
  on(after, "play", () => {
    label(play, "Pause", "pause");
    if (before && mode !== "remap" && mode !== "bounce") before.play().catch(() => {});
    follow();
  });
  for (const event of ["pause", "ended"]) {
    on(after, event, () => {
      label(play, "Play", "play");
      before?.pause();
      align(0.01);
    });
  }
  on(seek, "input", () => {
    after.currentTime = Number(seek.value);
    align(0.01);
    show();
  });
  on(mute, "click", () => {
    after.muted = !after.muted;
    mute.setAttribute("aria-pressed", String(after.muted));
    label(mute, "Mute", after.muted ? "mute" : "sound");
  });
  on(after, "loadedmetadata", () => {
    seek.max = after.duration;
    show();
  });
  on(after, "seeked", show);
  label(play, "Play", "play");
  label(mute, "Mute", "sound");
  mute.setAttribute("aria-pressed", "false");
  return () => controller.abort();
}
