// The official conformance suite, for clients: a program that signs in with the feature `client` and
// connects with rmcp passes every scenario of authorization.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const SUITE = fileURLToPath(new URL('node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url));
const CLIENT = fileURLToPath(new URL('../../../target/debug/examples/conformance_client', import.meta.url));

// Scenarios in which a check does not succeed, with these checks and the reason.
const NOT_PASSED = {};

const SCENARIOS = [
  'auth/authorization-server-migration',
  'auth/basic-cimd',
  'auth/iss-normalized',
  'auth/iss-not-advertised',
  'auth/iss-supported',
  'auth/iss-supported-missing',
  'auth/iss-unexpected',
  'auth/iss-wrong-issuer',
  'auth/metadata-default',
  'auth/metadata-issuer-mismatch',
  'auth/metadata-var1',
  'auth/metadata-var2',
  'auth/metadata-var3',
  'auth/offline-access-not-supported',
  'auth/offline-access-scope',
  'auth/pre-registration',
  'auth/resource-mismatch',
  'auth/scope-from-scopes-supported',
  'auth/scope-from-www-authenticate',
  'auth/scope-omitted-when-undefined',
  'auth/scope-retry-limit',
  'auth/scope-step-up',
  'auth/token-endpoint-auth-basic',
  'auth/token-endpoint-auth-none',
  'auth/token-endpoint-auth-post',
];

// The scenarios in which the client has to stop, so that the program ends with an error.
const STOPS = [
  'auth/iss-normalized',
  'auth/iss-supported-missing',
  'auth/iss-unexpected',
  'auth/iss-wrong-issuer',
  'auth/metadata-issuer-mismatch',
  'auth/resource-mismatch',
  'auth/scope-retry-limit',
];

describe('a client with the revision 2026-07-28', () => {
  let directory;
  let results;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'interop-conformance-client-'));
    const outcomes = await Promise.all([share(0), share(1)]);
    results = outcomes.flat().sort((one, other) => one.name.localeCompare(other.name));
    console.log(table(results));
  });

  after(() => rm(directory, { recursive: true, force: true }));

  /** Every second scenario, one after the other. */
  async function share(first) {
    const outcomes = [];
    for (const name of SCENARIOS.filter((_, index) => index % 2 === first)) {
      outcomes.push(await run(name, join(directory, name)));
    }
    return outcomes;
  }

  it('has a scenario for each of authorization that the suite has', async () => {
    const child = spawn(process.execPath, [SUITE, 'list', '--client'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = (await child.stdout.setEncoding('utf8').toArray()).join('').split('\n');
    const listed = lines.map((line) => /- (auth\/\S+) \[.*2026-07-28.*\]/.exec(line)?.[1]).filter(Boolean);
    assert.deepEqual(listed.sort(), SCENARIOS);
  });

  it('passes every check', () => {
    const failing = results.filter(({ checks }) => !checks.every(passed) || !checks.some(({ status }) => status === 'SUCCESS'));
    const found = failing.map(({ name, checks }) => [name, checks.filter((check) => !passed(check)).map(({ id }) => id)]);
    assert.deepEqual(Object.fromEntries(found), NOT_PASSED);
  });

  it('stops where it has to, and nowhere else', () => {
    const stopped = results.filter(({ error }) => error !== '').map(({ name }) => name);
    assert.deepEqual(stopped, STOPS);
  });
});

const passed = ({ status }) => ['SUCCESS', 'INFO', 'SKIPPED'].includes(status);

/** Runs a scenario. Returns its checks, and what the client wrote to its error output. */
async function run(name, output) {
  const options = ['--scenario', name, '--spec-version', '2026-07-28', '--output-dir', output];
  const args = [SUITE, 'client', '--command', CLIENT, ...options];
  const child = spawn(process.execPath, args, { cwd: tmpdir(), stdio: ['ignore', 'ignore', 'ignore'] });
  await once(child, 'exit');
  const files = await readdir(output, { recursive: true });
  const read = (file) => readFile(join(output, files.find((path) => path.endsWith(file))), 'utf8');
  return { name, checks: JSON.parse(await read('checks.json')), error: await read('stderr.txt') };
}

function table(results) {
  const count = (checks, status) => checks.filter((check) => check.status === status).length;
  const row = ({ name, checks, error }) =>
    [name, ...['SUCCESS', 'FAILURE', 'WARNING'].map((status) => count(checks, status)), error.trim().slice(0, 100)];
  const lines = [['scenario', 'passed', 'failed', 'warned', 'stopped with'], ...results.map(row)];
  return lines.map(([name, ...rest]) => name.padEnd(40) + rest.map((text) => String(text).padEnd(8)).join('')).join('\n');
}
