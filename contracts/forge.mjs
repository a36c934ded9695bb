// Runs the pinned forge in this folder with the given arguments, and ends with its status.
import { spawnSync } from 'node:child_process';
import { root } from './sources.mjs';
import { tool } from './tools.mjs';

const { status, error } = spawnSync(tool('forge'), process.argv.slice(2), { cwd: root, stdio: 'inherit' });
if (error) console.error(`forge did not start (${error.message}): run npm ci`);
process.exit(status ?? 1);
