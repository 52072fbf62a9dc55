// The access token: typed once, kept in this tab's session storage, never written into the page.
import { byId, say } from "./dom.js";

const KEY = "segtalker.token";
let current = read();
const listeners = [];

export const token = () => current;

export function onToken(listener) {
  listeners.push(listener);
}

// The service refused: open the field and say why, without moving the keyboard's focus.
export function askForToken(message) {
  byId("access").open = true;
  byId("token").setAttribute("aria-invalid", "true");
  say(byId("token-error"), message);
}

export function tokenAccepted() {
  byId("token").removeAttribute("aria-invalid");
  say(byId("token-error"), "");
}

export function setUpToken() {
  const field = byId("token");
  field.value = current;
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    current = field.value.trim();
    write(current);
    tokenAccepted();
    for (const listener of listeners) listener();
  });
}

function read() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // storage may be switched off; the token then lives as long as the page
  }
}

function write(value) {
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // as above
  }
}
