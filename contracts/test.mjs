// Everything that must hold before the contracts are published, in the order of rising cost.
import { spawnSync } from 'node:child_process';
import { root } from './sources.mjs';

const steps = [
  ['test vectors', 'test/generate/main.mjs', '--check'],
  ['format', 'forge.mjs', 'fmt', '--check', 'src', 'test'],
  ['artifacts', 'build.mjs', '--check'],
  ['contracts', 'forge.mjs', 'test', '--no-match-test', 'testGas'],
  ['gas', 'forge.mjs', 'test', '--match-test', 'testGas'],
  ['precompiles', 'test/precompiles.mjs'],
];

// Gas figures are compared with snapshots/gas.json instead of being written.
const env = { ...process.env, FORGE_SNAPSHOT_CHECK: 'true' };
for (const [name, ...args] of steps) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' });
  if (status !== 0) {
    console.error(`failed: ${name} (node ${args.join(' ')})`);
    process.exit(1);
  }
}
