// Small helpers around the document.

export const byId = (id) => document.getElementById(id);

// make("p", { class: "hint" }, "text", child): an element; `on` is a table of listeners.
export function make(tag, { on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

// Screen readers speak a live region whenever its text is set: set it only when it differs.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const isAbort = (error) => error?.name === "AbortError";

export function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  const [value, unit] = count < 999_500 ? [count / 1e3, "kB"] : [count / 1e6, "MB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

export function seconds(value) {
  if (value < 9.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  return whole < 90 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

// A time that is only an estimate, so that it does not flicker.
export function roughly(value) {
  if (value < 8) return "a few seconds";
  return value < 90 ? `about ${Math.round(value / 5) * 5} s` : `about ${Math.round(value / 60)} min`;
}

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
