#!/usr/bin/env node
// Lets forge use the pinned compiler from npm: forge wants a native solc, and asks it two things only.
import { readFileSync } from 'node:fs';
import solc from 'solc';

const args = process.argv.slice(2);
if (args.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (args.includes('--standard-json')) {
  process.stdout.write(solc.compile(readFileSync(0, 'utf8')));
} else {
  console.error(`solc-shim: only --version and --standard-json are known, not ${args.join(' ')}`);
  process.exit(1);
}
