// What the tests stand on: the real program with data of its own, Chromium, and a page that fails the test where a script of
// a device runs, an error is thrown, the content policy is broken, or anything is asked of another host.
//
// PLENUM_DATAFLOW: the program. PLENUM_BROWSER_TOOLS: where the node packages are. CHROMIUM: /usr/bin/chromium where not said.
// PLENUM_PICTURES: a folder for screenshots; none are made where not said. PLENUM_ASSETS: a folder whose files stand in for those
// that are compiled in, for rounds on the pages without a build.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const need = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run \`cargo xtask test\`, or see dashboard/tests/browser/tools.mjs`);
  return resolve(value);
};
const PROGRAM = need('PLENUM_DATAFLOW');
const load = createRequire(join(need('PLENUM_BROWSER_TOOLS'), 'package.json'));
const { chromium } = load('playwright-core');
const AXE = load.resolve('axe-core/axe.min.js');
const ASSETS = process.env.PLENUM_ASSETS && resolve(process.env.PLENUM_ASSETS);
const PICTURES = process.env.PLENUM_PICTURES && resolve(process.env.PLENUM_PICTURES);
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** For a machine that does other things at the same time. */
export const PATIENCE_MS = 60_000;

const atExit = [];
process.on('exit', () => {
  for (const end of atExit) end();
});

/** A folder for a test file's data, gone when the process ends. */
export function folder() {
  const made = mkdtempSync(join(tmpdir(), 'plenum-browser-'));
  atExit.push(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Runs the program to its end. */
export function run(...args) {
  const done = spawnSync(PROGRAM, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  assert.equal(done.status, 0, `dataflow ${args.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

/** Starts the program; it ends with this process at the latest. */
export function start(args, env = {}) {
  const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => said.push(text.toString()));
  const kill = () => child.kill('SIGKILL');
  atExit.unshift(kill);
  return { child, said: () => said.join(''), ended: new Promise((done) => child.on('exit', (code) => done(code))), kill };
}

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise((done, failed) => {
    const server = createServer();
    server.on('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/** Starts the program as a server and waits until it is ready; `args` are given `--http` with `host`. */
export async function serve(args, { env, host = '127.0.0.1' } = {}) {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const server = start([...args, '--http', `${host}:${port}`], env);
  const patience = Date.now() + PATIENCE_MS;
  for (;;) {
    const ready = await fetch(`${base}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ready) return { base, port, ...server };
    if (server.child.exitCode !== null || Date.now() > patience) throw new Error(`the server is not ready: ${server.said()}`);
    await pause(100);
  }
}

/** Asks the interface itself. */
export async function api(base, path) {
  const answer = await fetch(`${base}/api/v1${path}`);
  assert.equal(answer.status, 200, `${path}: ${answer.status}`);
  return answer.json();
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

let browser = null;

/** A fresh page, as of a viewer in Berlin unless said otherwise. `options` are those of a browser context. */
export async function open(options = {}) {
  browser ??= await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    timezoneId: 'Europe/Berlin',
    locale: 'en-GB',
    ...options,
  });
  const page = await context.newPage();
  if (ASSETS) await context.route(/^http:\/\/127\.0\.0\.1:\d+\/(?!api\/)/, standIn);
  page.setDefaultTimeout(PATIENCE_MS);
  const wrong = [];
  page.on('dialog', (dialog) => {
    wrong.push(`a script opened a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('pageerror', (error) => wrong.push(`thrown: ${error.stack ?? error.message}`));
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    // The browser itself reports answers that are no success; the pages show those.
    if (/Failed to load resource/.test(message.text())) return;
    wrong.push(`said on the console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (hostname !== '127.0.0.1' && !['data:', 'blob:'].includes(protocol)) wrong.push(`asked another host: ${request.url()}`);
  });
  /** Fails the test where anything of that happened. */
  page.harmless = () => assert.deepEqual(wrong, []);
  return page;
}

/** The file of the working tree with the headers that the server gives. */
async function standIn(route) {
  const { pathname } = new URL(route.request().url());
  const file = join(ASSETS, pathname.startsWith('/assets/') ? pathname.slice('/assets/'.length) : 'index.html');
  if (!existsSync(file)) return route.continue();
  const contentType = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', html: 'text/html' }[file.split('.').pop()];
  const shell = await route.fetch({ url: new URL('/', route.request().url()).href });
  return route.fulfill({ headers: { ...shell.headers(), 'content-type': contentType }, body: readFileSync(file) });
}

/** Ends the browser; for `after`. */
export async function closeBrowser() {
  await browser?.close();
  browser = null;
}

/** Serious and critical findings of axe, none wanted. */
export async function accessible(page, what) {
  await page.evaluate(readFileSync(AXE, 'utf8'));
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations
      .filter((one) => ['serious', 'critical'].includes(one.impact))
      .map(
        (one) =>
          `${one.id} (${one.impact}): ${one.nodes
            .slice(0, 3)
            .map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`)
            .join(' | ')}`,
      );
  });
  assert.deepEqual(found, [], what);
}

/** The page is no wider than the window. */
export async function fits(page, what) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(wide <= window, `${what} is ${wide} wide in a window of ${window}`);
}

/** A screenshot, where a folder for them was given. */
export async function picture(page, name, fullPage = false) {
  if (!PICTURES) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage });
}

/** Waits until all charts in sight are drawn; goes to the first where none is. */
export async function drawn(page) {
  await page.locator('figure.chart').first().scrollIntoViewIfNeeded();
  await page.waitForFunction(() => {
    const charts = [...document.querySelectorAll('figure.chart .plot')].filter((plot) => {
      const { top, bottom } = plot.getBoundingClientRect();
      return bottom > 0 && top < innerHeight;
    });
    return charts.length > 0 && charts.every((plot) => plot.querySelector('.main-svg'));
  });
}
