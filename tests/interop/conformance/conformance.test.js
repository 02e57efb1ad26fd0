// The official conformance suite: a guarded server answers as it does without the guard.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { startServer } from '../support/example.js';
import { startProxy } from '../support/proxy.js';

const SUITE = fileURLToPath(new URL('node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url));

// What the server in `../server` has no tools for. It answers these scenarios with errors.
const NOT_IMPLEMENTED = {
  '2025-11-25': [
    'elicitation-sep1034-defaults',
    'elicitation-sep1330-enums',
    'json-schema-2020-12',
    'tools-call-elicitation',
  ],
  '2026-07-28': [
    'input-required-result-basic-list-roots',
    'input-required-result-basic-sampling',
    'input-required-result-capability-check',
    'input-required-result-multi-round',
    'input-required-result-multiple-input-requests',
    'input-required-result-request-state',
    'input-required-result-tampered-state',
    'json-schema-2020-12',
    'tasks-capability-negotiation',
    'tasks-dispatch-and-envelope',
    'tasks-lifecycle',
    'tasks-mrtr-composition',
    'tasks-mrtr-input',
    'tasks-request-headers',
    'tasks-request-state-removal',
    'tasks-required-task-error',
    'tasks-wire-fields',
  ],
};

let server;
let guarded;
let unguarded;
let directory;

before(async () => {
  server = await startServer();
  // Both through a proxy, so that what it changes is no difference.
  guarded = await startProxy(server.suite.guarded, server.suite.token);
  unguarded = await startProxy(server.suite.unguarded);
  directory = await mkdtemp(join(tmpdir(), 'interop-conformance-'));
});

after(async () => {
  guarded?.stop();
  unguarded?.stop();
  await server?.stop();
  if (directory) await rm(directory, { recursive: true, force: true });
});

for (const [revision, scenarios] of [['2025-11-25', 33], ['2026-07-28', 50]]) {
  describe(revision, () => {
    let results;

    before(async () => {
      const runs = Object.entries({ guarded, unguarded }).map(([name, { url }]) => run(name, url, revision));
      const [withGuard, without] = await Promise.all(runs);
      const names = [...new Set([...withGuard.keys(), ...without.keys()])].sort();
      results = names.map((name) => ({ name, guarded: withGuard.get(name), unguarded: without.get(name) }));
      console.log(table(revision, results));
    });

    it(`runs ${scenarios} scenarios`, () => {
      assert.equal(results.length, scenarios);
    });

    it('has the same result in each check with and without the guard', () => {
      for (const { name, guarded, unguarded } of results) assert.deepEqual(guarded, unguarded, name);
    });

    it('passes what the server implements', () => {
      const failing = results.filter(({ guarded }) => guarded.some(failed)).map(({ name }) => name);
      assert.deepEqual(failing, NOT_IMPLEMENTED[revision]);
    });
  });
}

describe('the guard of the suite', () => {
  it('requires the scopes of its rules', async () => {
    const headers = { 'Mcp-Method': 'tools/call', 'Mcp-Name': 'test_simple_text' };
    const { status, headers: answer } = await fetch(server.suite.guarded, { method: 'POST', headers });
    assert.equal(status, 401);
    assert.match(answer.get('www-authenticate'), /scope="profile public_metadata"/);
  });
});

const passed = ({ status }) => status === 'SUCCESS';
const failed = ({ status }) => status === 'FAILURE';

/** Runs the suite. Returns the checks of each scenario, without what differs between runs. */
async function run(name, url, revision) {
  const output = join(directory, revision, name);
  const args = [SUITE, 'server', '--url', url, '--requirements', revision, '--output-dir', output];
  const child = spawn(process.execPath, args, { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] });
  await once(child, 'exit'); // With an error, since some scenarios are not implemented.
  const scenarios = new Map();
  for (const folder of await readdir(output)) {
    const scenario = folder.replace(/^server-(.*?)-\d{4}-\d\d-\d\dT.*$/, '$1');
    const checks = JSON.parse(await readFile(join(output, folder, 'checks.json'), 'utf8'));
    scenarios.set(scenario, checks.map(({ id, status, errorMessage }) => ({ id, status, errorMessage })));
  }
  return scenarios;
}

function table(revision, results) {
  const counts = (checks = []) => `${checks.filter(passed).length}/${checks.filter(failed).length}`;
  const rows = results.map(({ name, guarded, unguarded }) => [name, counts(guarded), counts(unguarded)]);
  const total = ['guarded', 'unguarded'].map((side) => counts(results.flatMap((result) => result[side] ?? [])));
  const lines = [[`${revision}: passed/failed`, 'guarded', 'unguarded'], ...rows, ['all', ...total]];
  return lines.map(([name, ...rest]) => name.padEnd(50) + rest.map((text) => text.padEnd(11)).join('')).join('\n');
}
