// Checkers of other people: what they find at the example and at a server with sessions.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { startServer } from '../support/example.js';

const PROGRAMS = new URL('../../../target/python/checkers/bin/', import.meta.url);

let server;
let directory;

before(async () => {
  server = await startServer();
  directory = await mkdtemp(join(tmpdir(), 'interop-checkers-'));
});

after(async () => {
  await server?.stop();
  if (directory) await rm(directory, { recursive: true, force: true });
});

describe('mcp-authlab', () => {
  // Plain HTTP on this machine is a warning, and the example has no sessions to check.
  const targets = [
    { name: 'the example', url: () => server.endpoint, tool: 'get_public_metadata', skipped: ['SESS-01', 'SESS-02'] },
    { name: 'a server with sessions', url: () => server.suite.guarded, tool: 'test_simple_text', skipped: [] },
  ];
  for (const { name, url, tool, skipped } of targets) {
    it(`passes ${name}`, async () => {
      const env = { MCP_AUTHLAB_TOKENS: join(directory, 'tokens.json') };
      await run('mcp-authlab', ['login', '--no-browser', '--scope', 'profile email offline_access', url()], env);
      const { stdout } = await run('mcp-authlab', ['scan', '--format', 'json', '--tool', tool, url()], env);
      const { results } = JSON.parse(stdout);
      const others = results.filter(({ status }) => status !== 'pass').map(({ id, status }) => `${id} ${status}`);
      assert.deepEqual(others, ['TLS-01 warn', ...skipped.map((id) => `${id} skip`)]);
      assert.equal(results.length, 33);
    });
  }
});

describe('testmcpy-oauth-probe', () => {
  it('passes the example', async () => {
    const example = {
      mcp_url: server.endpoint,
      allow_http_loopback: true,
      spec_profile: 'mcp-2025-11-25',
      oauth: { flow: 'bearer', access_token: { env: 'TOKEN' }, resource: server.endpoint, error_probe: true },
      expectations: {
        issuers: [server.clerk],
        token_issuers: [server.clerk],
        audiences: [server.endpoint],
        resources: [server.endpoint],
        scopes: ['profile', 'email'],
        min_tools: 3,
      },
    };
    const manifest = join(directory, 'probe.json');
    await writeFile(manifest, JSON.stringify({ schema: 'testmcpy.io/oauth-smoke/v1', targets: { example } }));
    const { stdout } = await run('testmcpy-oauth', ['check', '--config', manifest, '--format', 'json'], { TOKEN: server.token });
    const { checks } = JSON.parse(stdout).targets[0];
    assert.deepEqual(checks.filter(({ status }) => status !== 'pass'), []);
    assert.equal(checks.length, 19);
  });
});

/** Runs a checker. Rejects with its output if it ends with an error. */
function run(program, args, env) {
  return new Promise((resolve, reject) => {
    const path = fileURLToPath(new URL(program, PROGRAMS));
    execFile(path, args, { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stdout}${stderr}`));
      else resolve({ stdout, stderr });
    });
  });
}
