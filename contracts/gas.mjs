// Measures what each step costs and prints it as a table: with --json FILE also the figures that the project compares
// over time. `--write` makes snapshots/gas.json anew, against which npm test compares.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './sources.mjs';
import { tool } from './tools.mjs';

const codeLimit = 24576;
const snapshot = join(root, 'snapshots', 'gas.json');
const args = process.argv.slice(2);
const json = args.includes('--json') ? args[args.indexOf('--json') + 1] : undefined;
if (args.includes('--json') && !json) {
  console.error('--json wants a file');
  process.exit(2);
}

/** Runs the tests that measure; they write the snapshot. */
function measure() {
  const folder = mkdtempSync(join(tmpdir(), 'gas-'));
  const kept = join(folder, 'gas.json');
  const had = existsSync(snapshot);
  if (had) copyFileSync(snapshot, kept);
  try {
    const call = ['test', '--match-test', 'testGas'];
    const { status, stdout, stderr, error } = spawnSync(tool('forge'), call, { cwd: root, encoding: 'utf8' });
    if (error) throw new Error(`forge did not start (${error.message}): run npm ci`);
    if (status !== 0) throw new Error(`${stdout}${stderr}`);
    return JSON.parse(readFileSync(snapshot, 'utf8'));
  } finally {
    if (had && !args.includes('--write')) copyFileSync(kept, snapshot);
    rmSync(folder, { recursive: true, force: true });
  }
}

const steps = Object.fromEntries(Object.entries(measure()).map(([step, gas]) => [step, Number(gas)]));
const { contracts } = JSON.parse(readFileSync(join(root, 'artifacts', 'manifest.json'), 'utf8'));
const figures = {
  'contracts.hub_bytes_free': codeLimit - contracts.Hub.code,
  'contracts.rollup_bytes_free': codeLimit - contracts.Rollup.code,
  'gas.transfers_1000_per_op': steps['1000 transfers, at once, each'],
  'gas.commit_1000_withdrawals': steps['hub commit, withdrawals 1000'],
  'gas.pay_most': steps['pay, stated gas of a chunk'],
};
const width = Math.max(...Object.keys(steps).map((step) => step.length));
for (const [step, gas] of Object.entries(steps)) {
  console.log(`${step.padEnd(width)}  ${gas.toLocaleString('en').padStart(10)}`);
}
console.log();
for (const [name, value] of Object.entries(figures)) {
  console.log(`${name.padEnd(width)}  ${value.toLocaleString('en').padStart(10)}`);
}
if (json) writeFileSync(json, `${JSON.stringify({ ...figures, steps }, null, 1)}\n`);
