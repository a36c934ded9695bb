// Finds forge and anvil. They are called without the npm wrappers of the same name: those end with status 0 also when
// forge fails. The packages are optional, because they exist per platform; elsewhere the tools are taken from PATH.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './sources.mjs';

const version = '1.7.1';

/** The path or name of `forge` or `anvil`, version 1.7.1. */
export function tool(name) {
  const platform = { x64: 'amd64', arm64: 'arm64' }[process.arch];
  const file = process.platform === 'win32' ? `${name}.exe` : name;
  const folder = `${name}-${process.platform}-${platform}`;
  const packaged = join(root, 'node_modules', '@foundry-rs', folder, 'bin', file);
  if (existsSync(packaged)) return packaged;
  console.error(`no packaged ${name} for this platform: ${name} ${version} must be in PATH`);
  return name;
}
