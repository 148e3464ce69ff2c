// The data of most tests: thirteen and a half hours of eleven devices, real output of the simulator, which end in the middle of
// two faults, so that incidents are open; some messages are late, double or broken.

import { join } from 'node:path';
import { api, folder, pause, run, serve } from './tools.mjs';

const FAULTS = [
  'RTU-002/fan_failure/severe/9h/90min',
  'MAU-001/airflow_imbalance/severe/10h/60min',
  'CT-001/fan_failure/severe/12h/3h',
  'CH-001/refrigerant_leak/severe/760min/3h',
];

/** The simulated day as a recording. */
export function record(where) {
  const recording = join(where, 'day.jsonl');
  run(
    'simulate',
    '--to',
    recording,
    '--duration',
    '810min',
    '--period',
    '60s',
    '--seed',
    '7',
    '--late',
    '0.001',
    '--duplicates',
    '0.001',
    '--malformed',
    '0.0005',
    ...FAULTS.flatMap((fault) => ['--fault', fault]),
  );
  return recording;
}

/** A server over the finished job. */
export async function serveDay() {
  const where = folder();
  const server = await serve(['run', '-w', '1', '--source', `file:${record(where)}`, '--store', `sqlite:${join(where, 'day.db')}`]);
  while ((await api(server.base, '/pipeline')).job.state !== 'finished') await pause(100);
  return server;
}
