// Runs the pinned forge in this folder with the given arguments.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './sources.mjs';

const forge = join(root, 'node_modules', '.bin', 'forge');
const { status, error } = spawnSync(forge, process.argv.slice(2), { cwd: root, stdio: 'inherit' });
if (error) {
  console.error(`forge did not start (${error.message}): run npm ci`);
}
process.exit(status ?? 1);
