// Many random walks through the whole life of a deployment, with a look at what must always hold after every tenth call:
// 10^6 calls, or as many as the first argument says. npm test makes more than 10^5.
import { spawnSync } from 'node:child_process';
import { root } from './sources.mjs';
import { tool } from './tools.mjs';

const stepsOfAWalk = 500;
const calls = Number(process.argv[2] ?? 1_000_000);
if (!Number.isInteger(calls) || calls < stepsOfAWalk) {
  console.error(`usage: node invariants.mjs [CALLS], at least ${stepsOfAWalk}`);
  process.exit(2);
}
const env = {
  ...process.env,
  FOUNDRY_FUZZ_RUNS: String(Math.ceil(calls / stepsOfAWalk)),
  FOUNDRY_FUZZ_SEED: process.env.FOUNDRY_FUZZ_SEED ?? `0x${Date.now().toString(16)}`,
};
console.log(`seed ${env.FOUNDRY_FUZZ_SEED}`);
const { status, error } = spawnSync(tool('forge'), ['test', '--match-test', 'testFuzzWalk'], {
  cwd: root,
  env,
  stdio: 'inherit',
});
if (error) console.error(`forge did not start (${error.message}): run npm ci`);
process.exit(status ?? 1);
