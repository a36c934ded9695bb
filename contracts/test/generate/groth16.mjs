// A verifying key whose secrets are known, so that a proof can be computed for any public inputs. It is for
// tests only: whoever knows the secrets can prove everything.
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { Fr, element } from './field.mjs';

const { G1, G2 } = bls12_381;
const coordinate = (x) => x.toString(16).padStart(128, '0');
const g1 = (scalar) => {
  const { x, y } = G1.Point.BASE.multiply(scalar).toAffine();
  return coordinate(x) + coordinate(y);
};
const g2 = (scalar) => {
  const { x, y } = G2.Point.BASE.multiply(scalar).toAffine();
  return coordinate(x.c0) + coordinate(x.c1) + coordinate(y.c0) + coordinate(y.c1);
};
const hex = (n) => `0x${n.toString(16).padStart(64, '0')}`;

const names = ['alpha', 'beta', 'gamma', 'delta'];
const secrets = Object.fromEntries(names.map((name, i) => [name, element(1000, i)]));
const ic = Array.from({ length: 5 }, (_, i) => element(1001, i));

/** A = a G1, B = b G2 and the C that makes the pairing equation hold. */
export function prove(seed, inputs) {
  const a = element(seed, 0);
  const b = element(seed, 1);
  const sum = inputs.reduce((s, x, i) => Fr.add(s, Fr.mul(x, ic[i + 1])), ic[0]);
  const { alpha, beta, gamma, delta } = secrets;
  const rest = Fr.sub(Fr.sub(Fr.mul(a, b), Fr.mul(alpha, beta)), Fr.mul(sum, gamma));
  return `0x${g1(a)}${g2(b)}${g1(Fr.mul(rest, Fr.inv(delta)))}`;
}

/** alpha, -beta, -gamma, -delta, ic[0] to ic[4], as the verifier's constructor takes them. */
export function verifyingKey() {
  const negated = ['beta', 'gamma', 'delta'].map((name) => g2(Fr.neg(secrets[name])));
  return `0x${g1(secrets.alpha)}${negated.join('')}${ic.map(g1).join('')}`;
}

export function groth16Vectors() {
  const inputSets = [
    Array.from({ length: 4 }, (_, i) => element(2000, i)),
    [0n, 1n, Fr.ORDER - 1n, 5n],
    [0n, 0n, 0n, 0n],
  ];
  return {
    secrets: Object.fromEntries(names.map((name) => [name, hex(secrets[name])])),
    ic: ic.map(hex),
    g1: `0x${g1(1n)}`,
    g2: `0x${g2(1n)}`,
    key: verifyingKey(),
    proofs: inputSets.map((inputs, i) => ({ inputs: inputs.map(hex), proof: prove(3000 + i, inputs) })),
  };
}
