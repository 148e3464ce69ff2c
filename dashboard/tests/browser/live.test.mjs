// News reach a page by themselves: a job writes, the page changes, and is never loaded anew. And a server that goes away is said
// to be away, with the age of what is shown, until it is back.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { api, closeBrowser, folder, open, pause, picture, run, serve, start, PATIENCE_MS } from './tools.mjs';

after(closeBrowser);

test('states that a job writes change the page, without a reload', async () => {
  const where = folder();
  const recording = join(where, 'long.jsonl.zst');
  const store = `sqlite:${join(where, 'long.db')}`;
  run('simulate', '--to', recording, '--duration', '3d', '--period', '60s');
  const job = start(['-w', '1', '--source', `file:${recording}`, '--store', store]);
  // Held in the middle of its work, so that there is news to come however fast the machine is.
  const server = await serveWhenThere(store);
  const patience = Date.now() + PATIENCE_MS;
  while ((await api(server.base, '/fleet?limit=1')).total < 11) {
    assert.ok(Date.now() < patience && job.child.exitCode === null, `the job has written something before its end: ${job.said()}`);
    await pause(20);
  }
  job.child.kill('SIGSTOP');
  assert.equal(job.child.exitCode, null, 'the job is held before its end');

  const page = await open();
  await page.goto(`${server.base}/`);
  await page.waitForSelector('.card');
  await page.evaluate(() => (window.loadedOnce = true));
  await pause(3000);
  const before = await page.locator('#freshness').textContent();
  const values = await page.locator('.values').first().textContent();
  // The mouse rests on a card: it has to stay there.
  const held = page.locator('.card').nth(3);
  const name = await held.locator('h2').textContent();
  await held.hover();
  job.child.kill('SIGCONT');
  await page.waitForFunction((was) => document.getElementById('freshness').textContent !== was, before);
  await page.waitForFunction((was) => document.querySelector('.values').textContent !== was, values);
  assert.equal(await job.ended, 0, job.said());
  const { as_of_ms: newest } = await api(server.base, '/fleet?limit=1');
  await page.waitForFunction((ms) => document.getElementById('freshness').textContent.includes('2026-03-0') && !Number.isNaN(ms), newest);
  await page.waitForFunction(async () => {
    const { as_of_ms: asOf } = await (await fetch('/api/v1/fleet?limit=1')).json();
    const two = (part) => String(part).padStart(2, '0');
    const date = new Date(asOf);
    return document.getElementById('freshness').textContent.includes(`${two(date.getHours())}:${two(date.getMinutes())}`);
  });
  assert.equal(await held.locator('h2').textContent(), name, 'what the mouse rests on has not moved');
  assert.equal(await page.evaluate(() => window.loadedOnce), true, 'it is the same page still');
  page.harmless();
  server.kill();
});

async function serveWhenThere(store) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await serve(['dashboard', '--store', store]);
    } catch (error) {
      // The job has not made its store yet.
      if (tries > 100) throw error;
      await pause(50);
    }
  }
}

test('a server that is away is said to be away, and waited for', async () => {
  const where = folder();
  const recording = join(where, 'short.jsonl');
  const store = `sqlite:${join(where, 'short.db')}`;
  run('simulate', '--to', recording, '--duration', '30min', '--period', '60s');
  run('-w', '1', '--source', `file:${recording}`, '--store', store);
  const server = await serve(['dashboard', '--store', store]);
  const page = await open();
  await page.goto(`${server.base}/`);
  await page.waitForSelector('.card');
  server.kill();
  const banner = page.locator('#banner');
  await banner.getByText('The server does not answer').waitFor();
  assert.match(await banner.textContent(), /What you see is of \d\d:\d\d:\d\d/);
  await page.waitForFunction(() => /old/.test(document.getElementById('freshness').textContent));
  assert.equal(await page.locator('.card').count(), 11, 'what was loaded stays readable');
  await picture(page, 'server-away');
  const again = start(['dashboard', '--store', store, '--http', `127.0.0.1:${server.port}`]);
  await page.waitForFunction(() => document.getElementById('banner').childElementCount === 0);
  page.harmless();
  again.kill();
});

test('a token is asked for where the server wants one, and kept for the tab only', async () => {
  const where = folder();
  const recording = join(where, 'short.jsonl');
  const store = `sqlite:${join(where, 'short.db')}`;
  run('simulate', '--to', recording, '--duration', '30min', '--period', '60s');
  run('-w', '1', '--source', `file:${recording}`, '--store', store);
  // Beyond the loopback nobody writes without the token.
  const server = await serve(['dashboard', '--store', store], { env: { PLENUM__HTTP_TOKEN: 'sesame' }, host: '0.0.0.0' });
  const page = await open();
  await page.goto(`${server.base}/maintenance?device=RTU-001`);
  await page.getByRole('button', { name: 'Announce' }).click();
  await page.getByRole('textbox', { name: 'Token' }).fill('open');
  await page.getByRole('button', { name: 'Use it' }).click();
  await page.getByText('was not accepted').waitFor();
  await page.getByRole('textbox', { name: 'Token' }).fill('sesame');
  await page.getByRole('button', { name: 'Use it' }).click();
  await page.getByText('Announced.', { exact: true }).waitFor();
  const kept = await page.evaluate(() => [sessionStorage.length, JSON.stringify(localStorage).includes('sesame'), document.cookie]);
  assert.deepEqual(kept, [1, false, '']);
  page.harmless();
  server.kill();
});
