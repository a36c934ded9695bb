// Field elements, words and hashes for the generators.
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { keccak_256 } from '@noble/hashes/sha3.js';

export const Fr = bls12_381.fields.Fr;
export const word = (n) => `0x${n.toString(16).padStart(64, '0')}`;
export const bytes = (hex) => Uint8Array.from(Buffer.from(hex.replace(/^0x/, ''), 'hex'));
export const hash = (...words) => {
  const data = Buffer.concat(words.map((w) => Buffer.from(bytes(w))));
  return `0x${Buffer.from(keccak_256(data)).toString('hex')}`;
};
/** 31 bytes of keccak256(seed, i): what a word of an operation can be. */
export const short = (seed, i) => BigInt(hash(word(BigInt(seed)), word(BigInt(i)))) >> 8n;
/** Element number `i` of the stream `seed`: keccak256(seed, i) mod r; the tests make the same. */
export const element = (seed, i) => BigInt(hash(word(BigInt(seed)), word(BigInt(i)))) % Fr.ORDER;
