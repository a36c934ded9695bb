// Deploys the committed contracts on real nodes of several hard forks. The verifier: with EIP-2537 it must be accepted and verify a proof; without, the
// deployment must fail and name the missing precompile, because there every call would "succeed" with no answer.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { root } from '../sources.mjs';
import { tool } from '../tools.mjs';
import { hash } from './generate/field.mjs';

const read = (...path) => JSON.parse(readFileSync(join(root, ...path), 'utf8'));
const verifier = read('artifacts', 'Groth16Verifier.json');
const vectors = read('test', 'vectors', 'groth16.json');
const number = (n) => n.toString(16).padStart(64, '0');
const selector = (signature) =>
  hash(`0x${Buffer.from(signature).toString('hex')}`).slice(2, 10);

const dynamic = (hex) => {
  const body = hex.replace(/^0x/, '');
  return number(body.length / 2) + body.padEnd(Math.ceil(body.length / 64) * 64, '0');
};

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

function client(port) {
  return async (method, params) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`http://127.0.0.1:${port}`, { method: 'POST', headers, body });
    return answer.json();
  };
}

/** Asks until there is an answer, for ten seconds at most. */
async function poll(ask) {
  for (let tries = 0; tries < 100; tries++) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error('no answer from anvil: is it installed (npm ci)?');
}

async function withNode(hardfork, use) {
  const port = await freePort();
  const args = ['--port', String(port), '--hardfork', hardfork, '--silent'];
  const child = spawn(tool('anvil'), args, { stdio: 'inherit' });
  try {
    const rpc = client(port);
    await poll(async () => (await rpc('eth_chainId', []).catch(() => undefined))?.result);
    await use(rpc);
  } finally {
    child.kill();
  }
}

function expect(what, actual, wanted) {
  if (actual !== wanted) throw new Error(`${what}: ${actual}, wanted ${wanted}`);
  console.log(`ok: ${what}`);
}

const creation = verifier.bytecode + number(32) + dynamic(vectors.key);

async function acceptsProofs(rpc) {
  const [from] = (await rpc('eth_accounts', [])).result;
  const sent = await rpc('eth_sendTransaction', [{ from, data: creation, gas: '0x500000' }]);
  if (sent.error) throw new Error(`deployment: ${sent.error.message}`);
  const receipt = await poll(async () => (await rpc('eth_getTransactionReceipt', [sent.result])).result);
  expect('prague: the verifier is deployed', receipt.status, '0x1');
  const verify = async ({ inputs, proof }, first) => {
    const head = [first ?? inputs[0], ...inputs.slice(1)].map((x) => x.slice(2)).join('');
    const data = `0x${selector('verify(uint256[4],bytes)')}${head}${number(160)}${dynamic(proof)}`;
    return (await rpc('eth_call', [{ to: receipt.contractAddress, data, gas: '0x500000' }, 'latest'])).result;
  };
  expect('prague: a good proof is accepted', await verify(vectors.proofs[0]), `0x${number(1)}`);
  expect('prague: another input is refused', await verify(vectors.proofs[0], `0x${number(1)}`), `0x${number(0)}`);
}

async function refusesDeployment(rpc) {
  const [from] = (await rpc('eth_accounts', [])).result;
  const answer = await rpc('eth_call', [{ from, data: creation, gas: '0x500000' }, 'latest']);
  const reason = `0x${selector('PrecompileMissing(address)')}${number(0x0b)}`;
  expect('cancun: the deployment names the missing precompile', answer.error?.data, reason);
}

const word = (n) => number(BigInt(n));
const parameters = (chain) => [chain, 1, 0xdeb107, 0x60, 0x7a].map(word).join('');
const contracts = [
  ['Hub', read('artifacts', 'Hub.json').bytecode + parameters(1) + word(5)],
  ['Rollup', read('artifacts', 'Rollup.json').bytecode + parameters(2)],
];

async function deploys(rpc, name, data) {
  const [from] = (await rpc('eth_accounts', [])).result;
  const sent = await rpc('eth_sendTransaction', [{ from, data, gas: '0x800000' }]);
  if (sent.error) return false;
  const receipt = await poll(async () => (await rpc('eth_getTransactionReceipt', [sent.result])).result);
  return receipt.status === '0x1';
}

// Without transient storage every guarded call would fail for ever: the deployment must fail instead.
async function testTransientStorage(rpc, hardfork, wanted) {
  for (const [name, data] of contracts) {
    const word = wanted ? 'is deployed' : 'is refused';
    expect(`${hardfork}: ${name} ${word}`, await deploys(rpc, name, data), wanted);
  }
}

await withNode('prague', acceptsProofs);
await withNode('cancun', async (rpc) => {
  await refusesDeployment(rpc);
  await testTransientStorage(rpc, 'cancun', true);
});
await withNode('shanghai', (rpc) => testTransientStorage(rpc, 'shanghai', false));
