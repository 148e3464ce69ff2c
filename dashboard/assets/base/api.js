// The one way to /api/v1: answers as objects, problems as errors with the server's own words, and the token for writing.

import { failed, heard } from './connection.js';

const ROOT = '/api/v1';
const TIMEOUT_MS = 20_000;
const TOKEN = 'plenum-token';

/** What the server said instead of an answer (RFC 9457), or that it did not answer (`status` 0). */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
  }

  /** Whether it may pass by itself: the server is away, busy or has lost its store. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** A path below /api/v1 with its query: `null`, empty texts and empty lists are left out. */
export function path(segments, query) {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== '') parameters.append(key, one);
  }
  const text = parameters.toString();
  return `${ROOT}/${segments.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

/** Reads. @throws {Problem} */
export function get(segments, query, signal) {
  return ask(path(segments, query), { signal });
}

/** Writes. @throws {Problem} 401 or 403 where a token is needed */
export function post(segments, body) {
  const headers = { 'content-type': 'application/json' };
  const token = readToken();
  if (token) headers.authorization = `Bearer ${token}`;
  return ask(path(segments), { method: 'POST', headers, body: JSON.stringify(body) });
}

async function ask(url, options) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  let response;
  let body;
  try {
    response = await fetch(url, { ...options, signal, cache: 'no-store', credentials: 'same-origin' });
    body = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, 'no answer', timeout.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : "it can't be reached");
  }
  if (response.status < 500) heard();
  const answer = parse(body);
  if (!response.ok) throw new Problem(response.status, answer?.title ?? `status ${response.status}`, answer?.detail ?? '');
  if (answer === undefined) throw new Problem(0, 'no JSON', 'its answer is no JSON: is this the right server?');
  return answer;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Tells the banner where a problem may pass by itself. True if so: then `retry` is run until it says `answered(retry)`. */
export function waitOut(error, retry) {
  if (!(error instanceof Problem) || !error.passes) return false;
  failed(error.message, error.status, retry);
  return true;
}

/** The token that this tab was given. */
export function readToken() {
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return null;
  }
}

/** Kept for this tab only, until it is closed. */
export function keepToken(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
}
