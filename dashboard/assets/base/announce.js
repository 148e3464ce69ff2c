// The polite live region, used rarely: only what is new and grave is spoken, and at most once in ten seconds.

import { listen } from './events.js';
import { kindText } from './words.js';

const PAUSE_MS = 10_000;
const waiting = [];
let lastMs = 0;
let timer = null;

/** Says a sentence when it is its turn. */
export function announce(sentence) {
  waiting.push(sentence);
  timer ??= setTimeout(speak, Math.max(0, lastMs + PAUSE_MS - Date.now()));
}

function speak() {
  timer = null;
  lastMs = Date.now();
  const first = waiting.shift();
  const more = waiting.length ? ` And ${waiting.length} more.` : '';
  waiting.length = 0;
  document.getElementById('announcer').textContent = first + more;
}

/** Speaks of incidents that open as warning or critical, or become so; each once. */
export function announceIncidents() {
  const told = new Set();
  listen('incident', (incident) => {
    const key = `${incident.id} ${incident.severity}`;
    if (incident.status !== 'open' || incident.severity === 'info' || told.has(key)) return;
    told.add(key);
    announce(`${incident.severity} incident of ${incident.device_id}: ${kindText(incident.kind)}.`);
  });
}
