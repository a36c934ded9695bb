// z, yOnchain and yData for several lengths, from coefficients.
import { Fr, element, hash, short, word } from './field.mjs';

const SIZE = 4096;

/** The values of the polynomial with coefficients `c` at the powers of `w`. */
function transform(c, w) {
  if (c.length === 1) return c;
  const square = Fr.mul(w, w);
  const even = transform(c.filter((_, i) => i % 2 === 0), square);
  const odd = transform(c.filter((_, i) => i % 2 === 1), square);
  const half = c.length / 2;
  const out = new Array(c.length);
  let power = 1n;
  for (let i = 0; i < half; i++) {
    const term = Fr.mul(power, odd[i]);
    out[i] = Fr.add(even[i], term);
    out[i + half] = Fr.sub(even[i], term);
    power = Fr.mul(power, w);
  }
  return out;
}

const horner = (coefficients, z) => coefficients.reduceRight((y, c) => Fr.add(Fr.mul(y, z), c), 0n);

function blobValue(data, z) {
  const w = Fr.pow(7n, (Fr.ORDER - 1n) / BigInt(SIZE));
  const values = new Array(SIZE).fill(0n);
  data.forEach((value, i) => (values[i] = value));
  const scaled = transform(values, Fr.inv(w));
  const coefficients = scaled.map((c) => Fr.mul(c, Fr.inv(BigInt(SIZE))));
  return horner(coefficients, z);
}

/** The public inputs that follow from a digest and both vectors, all as words. */
export function evaluate(d, onchain, data) {
  const z = BigInt(hash(d, hash(...onchain), hash(...data))) % Fr.ORDER;
  const yOnchain = horner(onchain.map(BigInt), z);
  return { z: word(z), yOnchain: word(yOnchain), yData: word(blobValue(data.map(BigInt), z)) };
}

function vector(seed, onchainLength, dataLength, zeroEvery) {
  const make = (stream, length) =>
    Array.from({ length }, (_, i) => (zeroEvery && i % zeroEvery === 0 ? 0n : short(stream, i)));
  const onchain = make(seed, onchainLength).map(word);
  const data = make(seed + 1, dataLength).map(word);
  const d = word(element(seed + 2, 0));
  return { seed, onchainLength, dataLength, zeroEvery, d, ...evaluate(d, onchain, data) };
}

export const evaluationVectors = () => ({
  vectors: [
    vector(10, 3, 0, 0),
    vector(20, 4, 1, 0),
    vector(30, 9, 2, 0),
    vector(40, 17, 3, 0),
    vector(50, 64, 31, 3),
    vector(60, 200, 257, 2),
    vector(70, 300, 4095, 5),
    vector(80, 3, 4096, 0),
  ],
});
