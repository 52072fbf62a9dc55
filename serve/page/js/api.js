// Calls of the HTTP API. Every failure is an `ApiError` whose message is one sentence for a person.
import { sleep } from "./dom.js";
import { askForToken, token, tokenAccepted } from "./token.js";

const TRIES = 3;
const LONGEST_WAIT_S = 5;
const BASE = new URL(".", location.href.split(/[?#]/)[0]);

export class ApiError extends Error {
  constructor(status, message, retryAfterS = null) {
    super(message);
    this.status = status; // 0: no answer came
    this.retryAfterS = retryAfterS;
  }

  // Whether the same request may succeed a little later.
  get isPassing() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

export const address = (path) => new URL(path, BASE).href;

// A response with a status below 400.
export async function call(path, { headers = {}, ...options } = {}) {
  let response;
  try {
    response = await fetch(address(path), { ...options, headers: { ...authorization(), ...headers } });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw unreachable();
  }
  if (!response.ok) throw refusal(response.status, await response.text(), response.headers.get("Retry-After"));
  if (path.startsWith("v1/")) tokenAccepted(); // the page's own files ask for none
  return response;
}

export async function getJson(path, options) {
  const response = await call(path, options);
  return response.status === 204 ? null : response.json();
}

// The same for a small question that somebody waits at: a busy service is asked again.
export async function askJson(path, options) {
  for (let failures = 1; ; failures += 1) {
    try {
      return await getJson(path, options);
    } catch (error) {
      if (!(error instanceof ApiError && error.isPassing) || failures >= TRIES) throw error;
      await sleep(Math.min(error.retryAfterS ?? failures, LONGEST_WAIT_S), options.signal);
    }
  }
}

export async function getBlob(path, signal) {
  const response = await call(path, { signal });
  try {
    return await response.blob();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
}

// POST a form, telling how many bytes have left; `fetch` cannot.
export function upload(path, form, { headers = {}, onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open("POST", address(path));
    for (const [name, value] of Object.entries({ ...authorization(), ...headers })) {
      request.setRequestHeader(name, value);
    }
    request.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    request.onload = () => {
      if (request.status < 400) resolve(JSON.parse(request.responseText));
      else reject(refusal(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    request.send(form);
  });
}

function authorization() {
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

function unreachable() {
  return new ApiError(0, "The service does not answer; check the connection and try again.");
}

function refusal(status, text, retryAfter) {
  let message = `The service answered with status ${status}; try again or tell its operator.`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // not an answer of the service itself: a proxy's page, say
  }
  if (status === 401 || status === 403) askForToken(message);
  const wait = Number.parseFloat(retryAfter);
  return new ApiError(status, message, Number.isFinite(wait) ? wait : null);
}
