// Makes the expected values in test/vectors with an implementation that shares nothing with the contracts:
// @noble/curves for the curve and the field, interpolation by an inverse Fourier transform for the data polynomial.
// With --check it compares with the committed files.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../sources.mjs';
import { evaluationVectors } from './evaluation.mjs';
import { groth16Vectors } from './groth16.mjs';
import { settlementVectors } from './settlement.mjs';

const folder = join(root, 'test', 'vectors');
const wanted = {
  'evaluation.json': evaluationVectors(),
  'groth16.json': groth16Vectors(),
  'settlement.json': settlementVectors(),
};
mkdirSync(folder, { recursive: true });
let stale = false;
for (const [name, value] of Object.entries(wanted)) {
  const path = join(folder, name);
  const text = `${JSON.stringify(value, null, 1)}\n`;
  if (!process.argv.includes('--check')) {
    writeFileSync(path, text);
  } else if (!existsSync(path) || readFileSync(path, 'utf8') !== text) {
    console.error(`test/vectors/${name} differs: run npm run vectors`);
    stale = true;
  }
}
process.exit(stale ? 1 : 0);
