// Two blocks of a deployment with the chains 1 and 2 as test/Vectors.t.sol reads them: what is published, and the
// public inputs, contents and proofs that must follow from it.
import { evaluate } from './evaluation.mjs';
import { element, hash, short, word } from './field.mjs';
import { prove, verifyingKey } from './groth16.mjs';

const onchainWords = 90;
const dataWords = 9;
const shape = 3;
const timestamp = 1_700_000_000;

/** A zero byte, then [value, width in bytes] big-endian without gaps, then zeros: a packed word. */
function packed(...fields) {
  const digits = fields.map(([value, width]) => BigInt(value).toString(16).padStart(2 * width, '0'));
  return `0x00${digits.join('')}`.padEnd(66, '0');
}

const deposit = (chain, account, amount, owner, home, outcome) => [
  packed([1, 1], [chain, 1], [account, 3], [2, 1], [5, 2], [amount, 16], [0, 1], [home, 1], [outcome, 1], [0, 2]),
  word(owner),
];
const withdraw = (chain, account, amount, owner, at) => [
  packed([3, 1], [chain, 1], [account, 3], [2, 1], [5, 2], [amount, 16], [12, 1], [0x4321, 2], [0, 1], [at, 2]),
  word(owner),
];
const changePubKey = (chain, account, nonce, owner, at) => [
  packed([6, 1], [chain, 1], [account, 3], [0, 1], [5, 2], [0x11, 2], [nonce, 4], [0, 1], [0, 1], [at, 2]),
  word(owner),
  word(element(4000, 1)),
  word(element(4000, 2)),
];

const zero = word(0n);
// Each entry: a chain and the words of one operation. The second block has more than one chunk of withdrawals.
const plans = [
  [[2, deposit(2, 9, 77n * 10n ** 18n, 0xabcn, 0, 0)], [1, deposit(1, 0, 5n, 0xfffn, 1, 1)],
    [1, withdraw(1, 9, 5n, 0xdefn, 0)], [2, changePubKey(2, 9, 1, 0xabcn, 2)]],
  Array.from({ length: 40 }, (_, i) => [2, withdraw(2, 70000, (1n << 128n) - 1n - BigInt(i), (1n << 160n) - 1n, i)]),
];

const isWithdrawal = (words) => words[0].startsWith('0x0003');

/** rest and chunks of 32 withdrawals, hashed. */
function content(operations) {
  const rest = operations.filter((words) => !isWithdrawal(words)).flat();
  const withdrawals = operations.filter(isWithdrawal);
  const parts = [hash(...rest)];
  for (let i = 0; i < withdrawals.length; i += 32) parts.push(hash(...withdrawals.slice(i, i + 32).flat()));
  return hash(...parts);
}

export function settlementVectors() {
  const genesisRoot = word(element(5000, 0));
  let root = genesisRoot;
  const rolling = { 1: zero, 2: zero };
  const blocks = plans.map((operations, i) => {
    const number = i + 1;
    const newRoot = word(element(5000, number));
    const head = [root, newRoot, packed([number, 4], [timestamp + i, 8], [shape, 2])];
    const onchain = [...head, ...operations.flatMap(([, words]) => words)];
    const data = Array.from({ length: 6 }, (_, k) => word(k % 3 === 1 ? 0n : short(5001 + i, k)));
    const d = word(element(6000, number));
    const { z, yData, yOnchain } = evaluate(d, onchain, data);
    const contents = [1, 2].flatMap((chain) => {
      const own = operations.filter(([c]) => c === chain).map(([, words]) => words);
      if (own.length === 0) return [];
      rolling[chain] = hash(rolling[chain], word(BigInt(number)), content(own));
      return [{ chain, rolling: rolling[chain] }];
    });
    root = newRoot;
    const inputs = [d, z, yData, yOnchain];
    const proof = prove(7000 + i, inputs.map(BigInt));
    return { number, timestamp: timestamp + i, newRoot, d, z, yData, yOnchain, onchain, data, contents, proof };
  });
  const oracle = { deploymentId: word(0x1dn), address: word(0x0123456789n), source: 1, destination: 2, sequence: 7, payload: '0xc0ffee' };
  oracle.digest = hash(
    hash(`0x${Buffer.from('zkLink LightOracle').toString('hex')}`),
    oracle.deploymentId,
    oracle.address,
    ...[oracle.source, oracle.destination, oracle.sequence].map((n) => word(BigInt(n))),
    hash(oracle.payload),
  );
  return { genesisRoot, timestamp, shape, onchainWords, dataWords, key: verifyingKey(), blocks, oracle };
}
