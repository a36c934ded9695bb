// The one place where the compiler's settings are written down. They are part of the artifacts' manifest.
import { readdirSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(fileURLToPath(import.meta.url));

export const compiler = '0.8.37';

export const settings = {
  evmVersion: 'prague',
  viaIR: true,
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: 'none' },
};

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** All files below src/, as { 'src/…': text }, in a fixed order. */
export function sources() {
  const found = {};
  const walk = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (entry.name.endsWith('.sol')) found[path] = readFileSync(join(root, path), 'utf8');
    }
  };
  walk('src');
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}
