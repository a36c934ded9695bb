// Compiles src/ with the pinned compiler and writes artifacts/. With --check it compares instead of writing.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import solc from 'solc';
import { compiler, root, settings, settingsText, sha256, sources } from './sources.mjs';

const published = [
  'src/Rollup.sol:Rollup',
  'src/Hub.sol:Hub',
  'src/LightOracle.sol:LightOracle',
  'src/LocalRoute.sol:LocalRoute',
  'src/KeyRecorder.sol:KeyRecorder',
  'src/verifier/Groth16Verifier.sol:Groth16Verifier',
  'src/dev/DevToken.sol:DevToken',
];
// Interfaces have an ABI and no code.
const interfaces = ['src/interfaces/IRollup.sol:IRollup', 'src/interfaces/IHub.sol:IHub'];
const codeLimit = 24576;

const text = (value) => `${JSON.stringify(value, null, 1)}\n`;

function compile(files) {
  if (!solc.version().startsWith(`${compiler}+`)) {
    throw new Error(`solc is ${solc.version()}, wanted ${compiler}: run npm ci`);
  }
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(Object.entries(files).map(([path, content]) => [path, { content }])),
    settings: {
      ...settings,
      outputSelection: {
        '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'storageLayout'] },
      },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const problems = output.errors ?? [];
  for (const problem of problems) console.error(problem.formattedMessage);
  if (problems.length > 0) throw new Error('the compiler has complaints');
  return output.contracts;
}

/** Each storage slot as one line; type ids carry numbers of the compiler's own and are left out. */
function layout(contract) {
  const types = contract.storageLayout.types ?? {};
  const lines = (members, depth) =>
    members.flatMap(({ label, slot, offset, type }) => [
      `${'  '.repeat(depth)}${slot}+${offset} ${label}: ${types[type].label}`,
      ...lines(types[type].members ?? [], depth + 1),
    ]);
  return lines(contract.storageLayout.storage, 0);
}

function artifacts() {
  const files = sources();
  const contracts = compile(files);
  const hashes = Object.fromEntries(Object.entries(files).map(([path, content]) => [path, sha256(content)]));
  const settingsHash = sha256(settingsText);
  const lines = [`${settingsHash}  solc.json`, ...Object.keys(hashes).map((path) => `${hashes[path]}  ${path}`)];
  const sourceHash = sha256(lines.map((line) => `${line}\n`).join(''));
  const out = {};
  const sizes = {};
  for (const id of [...published, ...interfaces]) {
    const [path, name] = id.split(':');
    const contract = contracts[path][name];
    const { bytecode, deployedBytecode } = contract.evm;
    const size = deployedBytecode.object.length / 2;
    if (size > codeLimit) throw new Error(`${name} has ${size} bytes of code, above ${codeLimit}`);
    out[`${name}.json`] = text({
      abi: contract.abi,
      bytecode: `0x${bytecode.object}`,
      deployedBytecode: `0x${deployedBytecode.object}`,
      sourceHash,
    });
    if (published.includes(id)) sizes[name] = { code: size, storage: layout(contract) };
  }
  out['manifest.json'] = text({
    compiler,
    settingsHash,
    sources: hashes,
    sourceHash,
    artifacts: Object.fromEntries(Object.entries(out).map(([name, content]) => [name, sha256(content)])),
    contracts: sizes,
  });
  return out;
}

function main() {
  const folder = join(root, 'artifacts');
  const wanted = artifacts();
  if (process.argv.includes('--check')) {
    const stored = existsSync(folder) ? readdirSync(folder) : [];
    const names = new Set([...stored, ...Object.keys(wanted)]);
    const stale = [...names].filter(
      (name) => !stored.includes(name) || readFileSync(join(folder, name), 'utf8') !== wanted[name],
    );
    if (stale.length > 0) {
      console.error(`artifacts differ from the sources: ${stale.join(', ')}; run node build.mjs`);
      process.exit(1);
    }
    console.log('artifacts agree with the sources');
    return;
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(wanted)) writeFileSync(join(folder, name), content);
  for (const [name, { code }] of Object.entries(JSON.parse(wanted['manifest.json']).contracts)) {
    console.log(`${name}: ${code} bytes`);
  }
}

main();
