// Run inside the page by test_looks.py: each function returns what is wrong, as lines of text.
(() => {
  const CONTROLS = "a[href], button, input, select, summary, [tabindex='0']";
  const visible = (e) => e.checkVisibility({ opacityProperty: false }) && e.getClientRects().length > 0;
  const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);
  const name = (e) => `${e.tagName.toLowerCase()}#${e.id}.${e.className.baseVal ?? e.className}`;

  function nameless() {
    const text = (e) =>
      e.getAttribute("aria-label") ??
      (e.getAttribute("aria-labelledby") ? document.getElementById(e.getAttribute("aria-labelledby")).textContent : "");
    return all(CONTROLS)
      .filter((e) => !(text(e) || [...(e.labels ?? [])].map((l) => l.textContent).join("") || e.textContent).trim())
      .map(name);
  }

  function small() {
    const reach = (e) => {
      if (e.type === "checkbox") return e.labels[0].getBoundingClientRect();
      const box = e.getBoundingClientRect();
      if (!e.classList.contains("face")) return box;
      const style = getComputedStyle(e, "::before");
      return { width: Number.parseFloat(style.width), height: Number.parseFloat(style.height) };
    };
    return all(CONTROLS)
      .filter((e) => !e.matches(".skip, pre"))
      .filter((e) => Math.round(reach(e).width) < 44 || Math.round(reach(e).height) < 44)
      .map((e) => `${name(e)} ${reach(e).width} x ${reach(e).height}`);
  }

  const channels = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = ({ rgb }) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(channels(one)), luminance(channels(other))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  function ground(e) {
    for (let at = e; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (channels(colour).a === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  }

  function faint() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const e = walker.currentNode.parentElement;
      if (!walker.currentNode.textContent.trim() || !visible(e) || e.matches(".skip, option")) continue;
      const ratio = contrast(getComputedStyle(e).color, ground(e));
      if (ratio < 4.5) found.push(`${name(e)} ${ratio.toFixed(2)}: ${walker.currentNode.textContent.trim()}`);
    }
    for (const e of all("input:not([type=range], [type=checkbox], [type=file]), select, .drop, .button")) {
      const ratio = contrast(getComputedStyle(e).borderTopColor, ground(e.parentElement));
      if (ratio < 3) found.push(`${name(e)} border ${ratio.toFixed(2)}`);
    }
    return found;
  }

  function structure() {
    const found = [];
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    if (new Set(ids).size !== ids.length) found.push("an id is there twice");
    const levels = all("h1, h2, h3").map((e) => Number(e.tagName[1]));
    if (levels.filter((level) => level === 1).length !== 1) found.push("not one h1");
    levels.forEach((level, i) => level > (levels[i - 1] ?? 0) + 1 && found.push(`h${level} after h${levels[i - 1]}`));
    for (const landmark of ["header", "main", "footer"]) if (!document.querySelector(landmark)) found.push(landmark);
    for (const e of document.querySelectorAll("img:not([alt])")) found.push(name(e));
    for (const e of document.querySelectorAll("[aria-describedby], [aria-labelledby]")) {
      for (const attribute of ["aria-describedby", "aria-labelledby"]) {
        for (const id of (e.getAttribute(attribute) ?? "").split(" ").filter(Boolean)) {
          if (!document.getElementById(id)) found.push(`${name(e)} names ${id}`);
        }
      }
    }
    if (document.documentElement.scrollWidth > innerWidth) found.push("wider than the window");
    return found;
  }

  // What has the keyboard's focus: its place among the tab stops, and whether that can be seen.
  function focused() {
    const e = document.activeElement;
    const outlined = [e, e.closest(".drop")].some((at) => {
      const style = at && getComputedStyle(at);
      return style && style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2;
    });
    const stops = all(CONTROLS).filter((at) => at.tabIndex >= 0);
    return { name: name(e), place: stops.indexOf(e), stops: stops.length, outlined, native: e.tagName === "AUDIO" };
  }

  return { nameless, small, faint, structure, focused };
})();
