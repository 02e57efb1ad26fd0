// Clients that people install: how they sign in, whether they step up, and what they do when their
// token has expired.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { startServer } from '../support/example.js';
import { Program, RpcProgram, makeHome } from '../support/program.js';

const DAY_S = 24 * 60 * 60; // The lifetime of Clerk's tokens.
const TOOLS = ['get_clerk_user_data', 'get_public_metadata', 'whoami'];
const FIRST = 'profile email offline_access';
const EVERY = 'profile email public_metadata offline_access';
const CLIENT_INFO = { name: 'interop', version: '1.0.0' };
const INITIALIZE = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: CLIENT_INFO };
const MISSING_SCOPE = /^Bearer error="insufficient_scope", .*scope="profile email public_metadata"$/;

let server;
let home;

before(async () => {
  server = await startServer();
});

after(async () => {
  await server?.stop();
});

suiteOf('mcp-remote', () => {
  let client;
  before(async () => {
    client = new RpcProgram('mcp-remote', [server.endpoint, '--transport', 'http-only'], home);
    const { result } = await client.request('initialize', INITIALIZE);
    assert.notEqual(result.capabilities.tools, undefined);
    client.send({ method: 'notifications/initialized' });
  });
  after(() => client?.stop());

  const call = async (name) => (await client.request('tools/call', { name, arguments: {} })).result;

  it('signs in and calls a tool', async () => {
    assert.deepEqual(client.requested('scope'), [FIRST]);
    assert.deepEqual(client.requested('resource'), [server.endpoint]);
    const { result } = await client.request('tools/list', {});
    assert.deepEqual(result.tools.map(({ name }) => name).sort(), TOOLS);
    assert.deepEqual(content(await call('whoami')).scopes.join(' '), FIRST);
  });

  it('takes the scopes of its first sign-in from the challenge', async () => {
    const other = new RpcProgram('mcp-remote', [server.argumentsEndpoint, '--transport', 'http-only'], home);
    await other.request('initialize', INITIALIZE);
    await other.stop();
    assert.deepEqual(other.requested('scope'), [FIRST]);
  });

  it('requests the scope that a tool requires, and continues', async () => {
    await server.takeExchanges();
    assert.deepEqual(content(await call('get_public_metadata')).publicMetadata, {});
    const scopes = client.requested('scope').at(-1).split(' ');
    assert.deepEqual(new Set(scopes), new Set([...FIRST.split(' '), 'public_metadata']));
    assert.equal(client.authorizations.length, 2);
    const [rejected] = (await calls()).filter(({ status }) => status !== 200);
    assert.equal(rejected.status, 403);
    assert.match(rejected.challenge, MISSING_SCOPE);
  });

  it('refreshes a token that has expired', async () => {
    await server.advance(DAY_S + 60);
    await server.takeExchanges();
    assert.deepEqual(content(await call('get_public_metadata')).publicMetadata, {});
    assert.deepEqual((await calls()).map(({ status }) => status), [401, 200]);
    assert.equal(client.authorizations.length, 2);
  });
});

suiteOf('MCP Inspector', () => {
  const settings = {
    MCP_AUTO_OPEN_ENABLED: 'true',
    MCP_INSPECTOR_SECRET_STORE: 'file',
    MCP_OAUTH_CALLBACK_URL: 'http://127.0.0.1:0/oauth/callback',
  };
  const inspector = (...args) => inspectorAt(server.endpoint, ...args);
  const inspectorAt = async (url, ...args) => {
    const shared = ['--cli', url, '--transport', 'http', '--format', 'json'];
    const program = new Program('mcp-inspector', [...shared, ...args], home, settings);
    const ended = await program.ended();
    return { ...ended, program };
  };
  const call = (name, ...args) => inspector('--method', 'tools/call', '--tool-name', name, ...args);

  it('signs in and lists the tools', async () => {
    const { stdout, stderr, program } = await inspector('--method', 'tools/list');
    assert.deepEqual(program.requested('scope'), [FIRST], stderr);
    assert.deepEqual(program.requested('resource'), [server.endpoint]);
    assert.deepEqual(JSON.parse(stdout).result.tools.map(({ name }) => name).sort(), TOOLS);
  });

  it('takes the scopes of its first sign-in from the metadata', async () => {
    const { stderr, program } = await inspectorAt(server.argumentsEndpoint, '--method', 'tools/list');
    assert.deepEqual(program.requested('scope'), [EVERY], stderr);
  });

  it('calls a tool with its stored token in 2026-07-28', async () => {
    await server.takeExchanges();
    const { stdout, stderr, program } = await call('whoami', '--protocol-era', 'modern');
    assert.deepEqual(program.authorizations, [], stderr);
    assert.equal(content(JSON.parse(stdout).result).scopes.join(' '), FIRST);
    const [{ status, version }] = (await calls()).filter(({ name }) => name === 'whoami');
    assert.deepEqual({ status, version }, { status: 200, version: '2026-07-28' });
  });

  it('does not request the scope that a tool requires', async () => {
    await server.takeExchanges();
    const { code, stderr } = await call('get_public_metadata');
    assert.equal(code, 1, stderr);
    const rejected = (await calls()).at(-1);
    assert.equal(rejected.status, 403);
    assert.match(rejected.challenge, MISSING_SCOPE);
  });

  it('refreshes a token that has expired', async () => {
    await server.advance(DAY_S + 60);
    const { stdout, stderr, program } = await call('whoami');
    assert.deepEqual(program.authorizations, [], stderr);
    assert.equal(content(JSON.parse(stdout).result).scopes.join(' '), FIRST);
  });
});

suiteOf('Codex', () => {
  const settings = () => ({ CODEX_HOME: home.path });
  let client;
  let threadId;
  after(() => client?.stop());

  const call = async (tool) => client.request('mcpServer/tool/call', { server: 'notes', threadId, tool, arguments: {} });

  for (const [name, url] of [['notes', () => server.endpoint], ['arguments', () => server.argumentsEndpoint]]) {
    it(`registers, and signs in with the scopes of the challenge: ${name}`, async () => {
      const args = ['mcp', 'add', name, '--url', url(), '--oauth-client-registration', 'dcr'];
      const program = new Program('codex', args, home, settings());
      const { code, stdout, stderr } = await program.ended();
      assert.equal(code, 0, stderr);
      assert.match(stdout, /Successfully logged in/);
      assert.deepEqual(program.requested('scope'), [FIRST]);
      assert.deepEqual(program.requested('resource'), [url()]);
    });
  }

  it('calls a tool', async () => {
    client = new RpcProgram('codex', ['app-server'], home, settings());
    await client.request('initialize', { clientInfo: CLIENT_INFO });
    client.send({ method: 'initialized' });
    const started = await client.request('thread/start', {});
    threadId = started.result?.thread.id;
    assert.notEqual(threadId, undefined, JSON.stringify(started));
    const { result } = await client.request('mcpServerStatus/list', {});
    const status = result.data.find(({ name }) => name === 'notes');
    assert.deepEqual(Object.keys(status.tools).sort(), TOOLS);
    assert.equal(content((await call('whoami')).result).scopes.join(' '), FIRST);
  });

  it('does not request the scope that a tool requires', async () => {
    await server.takeExchanges();
    const { error, result } = await call('get_public_metadata');
    assert.equal(result, undefined);
    assert.notEqual(error, undefined);
    const rejected = (await calls()).at(-1);
    assert.equal(rejected.status, 403);
    assert.match(rejected.challenge, MISSING_SCOPE);
  });

  it('refreshes a token that has expired', async () => {
    await server.advance(DAY_S + 60);
    const { result, error } = await call('whoami');
    assert.equal(error, undefined);
    assert.equal(content(result).scopes.join(' '), FIRST);
  });

  it('prefers its metadata document over registration', async () => {
    const program = new Program('codex', ['mcp', 'login', 'notes'], home, settings());
    while (program.authorizations.length === 0) await new Promise((resolve) => program.process.stdout.once('data', resolve));
    await program.stop();
    assert.deepEqual(program.requested('client_id'), ['https://chatgpt.com/oauth/codex/client.json']);
  });
});

/** A suite with a home of its own. */
function suiteOf(name, suite) {
  describe(name, () => {
    before(async () => void (home = await makeHome()));
    after(() => home?.remove());
    suite();
  });
}

/** Returns the messages to the server since the last time. */
async function calls() {
  return (await server.takeExchanges()).filter(({ method, path }) => method === 'POST' && path === '/mcp');
}

/** Returns the JSON that a tool returned. */
function content(result) {
  assert.equal(result.isError ?? false, false, JSON.stringify(result));
  return JSON.parse(result.content[0].text);
}
