// Reads what the artifacts depend on: the Solidity sources and the compiler's settings (solc.json).
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(fileURLToPath(import.meta.url));
export const settingsText = readFileSync(join(root, 'solc.json'), 'utf8');
export const { compiler, settings } = JSON.parse(settingsText);

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** All Solidity files below src/ as { path: text }, in the order of their paths. */
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
