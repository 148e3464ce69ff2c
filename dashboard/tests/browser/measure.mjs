// From a message in Kafka to the change on a page, and what pages cost that stay open: a job reads a topic and serves its pages,
// a fleet's messages are written minute by minute, and two pages watch one device. Not a test: nothing is held to a time.
//
//   services/services up kafka
//   PLENUM_DATAFLOW=target/release/dataflow PLENUM_BROWSER_TOOLS=target/tools/browser \
//     node dashboard/tests/browser/measure.mjs --kafka 127.0.0.1:9092 --minutes 30
//
// --devices N (110): the fleet beside the watched device. --every SECONDS (6.5): between two minutes of the fleet; a device's page asks
// at most every five seconds, and in the field there is a minute between two states. --store URL: where the job writes (SQLite in a
// folder of its own). It needs kcat (`apt-get install kcat`).

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { closeBrowser, folder, open, pause, run, serve } from './tools.mjs';

const { values: asked } = parseArgs({
  options: {
    kafka: { type: 'string', default: '127.0.0.1:9092' },
    minutes: { type: 'string', default: '30' },
    devices: { type: 'string', default: '110' },
    every: { type: 'string', default: '6.5' },
    store: { type: 'string' },
  },
});
const MINUTE_MS = 60_000;
const LATENESS_MS = 30_000;
/** History that the fleet is learned from before the measurement. */
const HISTORY_MIN = 420;
/** Digits that nothing else on the pages shows. */
const FIRST_VALUE = 500_000;
const WATCHED = 'WATCHED-001';
/** A change that has not come by then never will. */
const PATIENCE_MS = 60_000;

const rounds = Math.max(2, Math.round((Number(asked.minutes) * 60) / Number(asked.every)));
const topic = `plenum-measure-${process.pid}`;
const url = `kafka://${asked.kafka}/${topic}`;
const where = folder();

const startMs = Math.floor((Date.now() - (HISTORY_MIN + rounds + 10) * MINUTE_MS) / MINUTE_MS) * MINUTE_MS;
const fleet = ['--count', asked.devices, '--period', '60s', '--seed', '3'];
const at = (ms) => new Date(ms).toISOString();
// The topic is made by the simulator, with one partition: every message of a minute is behind all earlier ones.
run('simulate', '--to', url, '--partitions', '1', ...fleet, '--start', at(startMs), '--duration', `${HISTORY_MIN}min`);
const recording = join(where, 'rounds.jsonl');
const roundsStartMs = startMs + HISTORY_MIN * MINUTE_MS;
run('simulate', '--to', recording, ...fleet, '--start', at(roundsStartMs), '--duration', `${rounds + 2}min`);
const byHalfMinute = new Map();
for (const line of readFileSync(recording, 'utf8').split('\n').filter(Boolean)) {
  const { message, broker_time: brokerMs } = JSON.parse(line);
  if (!message) continue;
  const half = Math.floor((brokerMs - roundsStartMs) / LATENESS_MS);
  if (!byHalfMinute.has(half)) byHalfMinute.set(half, []);
  byHalfMinute.get(half).push(JSON.stringify(message));
}

const server = await serve(['-w', '2', '--source', url, '--store', asked.store ?? `sqlite:${join(where, 'measured.db')}`]);
// One producer a batch, for kcat waits until its input fills a block: a change's time counts from the producer's start, tens of
// milliseconds before the message is in Kafka.
function send(lines) {
  const producer = spawn('kcat', ['-P', '-b', asked.kafka, '-t', topic, '-p', '0', '-X', 'linger.ms=0'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const fail = (why) => {
    console.error(`error: kcat could not send (apt-get install kcat): ${why}`);
    process.exit(1);
  };
  producer.on('error', (error) => fail(error.message));
  producer.on('exit', (code) => code === 0 || fail(`it ended with ${code}`));
  producer.stdin.end(lines.map((line) => `${line}\n`).join(''));
}
const own = (value, ms) =>
  JSON.stringify({ device_id: WATCHED, device_type: 'counter_board', timestamp: at(ms), metric_name: 'count', metric_value: value });

const pages = {
  device: { page: await open(), path: `/devices/${WATCHED}`, sought: 'table' },
  fleet: { page: await open(), path: `/?text=${WATCHED}`, sought: '.card' },
};
let opened = false;

async function watch() {
  for (const one of Object.values(pages)) {
    const { page, path, sought } = one;
    one.session = await page.context().newCDPSession(page);
    await one.session.send('Performance.enable');
    await page.goto(server.base + path);
    await page.waitForSelector(sought);
    await page.evaluate((selector) => {
      window.sought = null;
      new MutationObserver(() => {
        if (window.sought === null || window.foundMs !== null) return;
        const digits = [...document.querySelectorAll(selector)].map((part) => part.textContent.replace(/[^0-9]/g, ''));
        // What is in the document now is what the next frame shows.
        if (digits.some((text) => text.includes(window.sought))) requestAnimationFrame(() => (window.foundMs = Date.now()));
      }).observe(document.body, { childList: true, characterData: true, subtree: true });
    }, sought);
  }
  opened = true;
}

const times = { device: [], fleet: [] };
const began = Date.now();
let nextTable = 0;
let messages = 0;
console.log(`${asked.devices} devices, ${rounds} minutes of theirs, one every ${asked.every} s; ${cpus().length} cores\n`);
console.log(['minutes', 'page', 'heap MB', 'nodes', 'page CPU s', 'job CPU s', 'job MB'].map((text) => text.padStart(11)).join(''));

for (let round = 0; round < rounds; round += 1) {
  const minuteMs = roundsStartMs + round * MINUTE_MS;
  // The first half of this minute leaves the one before it open; the first message of the second half closes it.
  const first = [own(FIRST_VALUE + round, minuteMs + 1_000), ...(byHalfMinute.get(2 * round) ?? [])];
  send(first);
  messages += first.length;
  await pause(1_000);
  if (opened) {
    const before = String(FIRST_VALUE + round - 1);
    for (const { page } of Object.values(pages)) await page.evaluate((text) => Object.assign(window, { sought: text, foundMs: null }), before);
  }
  const second = [own(FIRST_VALUE + round, minuteMs + LATENESS_MS + 1_000), ...(byHalfMinute.get(2 * round + 1) ?? [])];
  const sentMs = Date.now();
  send(second);
  messages += second.length;
  if (opened) {
    for (const [name, { page }] of Object.entries(pages)) {
      const foundMs = await page
        .waitForFunction(() => window.foundMs, null, { timeout: PATIENCE_MS, polling: 100 })
        .then((handle) => handle.jsonValue());
      times[name].push(foundMs - sentMs);
    }
  } else if ((await fetch(`${server.base}/api/v1/devices/${WATCHED}`)).ok) {
    await watch();
  }
  if (opened && Date.now() - began >= nextTable * 5 * MINUTE_MS) {
    await costs();
    nextTable += 1;
  }
  await pause(Math.max(0, sentMs + Number(asked.every) * 1_000 - 1_000 - Date.now()));
}
await costs();
console.log(`\n${messages} messages\n`);
for (const [name, all] of Object.entries(times)) {
  const sorted = all.toSorted((a, b) => a - b);
  const quantile = (share) => `${sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]} ms`;
  console.log(
    `${name.padEnd(8)} ${sorted.length} changes: p50 ${quantile(0.5)}, p90 ${quantile(0.9)}, p99 ${quantile(0.99)}, most ${sorted.at(-1)} ms`,
  );
}
for (const { page } of Object.values(pages)) page.harmless();
await closeBrowser();
server.kill();
process.exit(0);

/** A line a page: its heap after a collection, its nodes, CPU since it was opened; and what the job uses. */
async function costs() {
  for (const [name, { session }] of Object.entries(pages)) {
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (metric) => metrics.find((one) => one.name === metric).value;
    const used = job();
    const cells = [
      ((Date.now() - began) / MINUTE_MS).toFixed(1),
      name,
      (of('JSHeapUsedSize') / 1e6).toFixed(1),
      of('Nodes'),
      of('TaskDuration').toFixed(1),
      used.cpuS.toFixed(1),
      used.residentMb.toFixed(0),
    ];
    console.log(cells.map((cell) => String(cell).padStart(11)).join(''));
  }
}

/** What the kernel says of the job. */
function job() {
  const { pid } = server.child;
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  const resident = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return { cpuS: (Number(fields[11]) + Number(fields[12])) / 100, residentMb: Number(resident[1]) / 1000 };
}
