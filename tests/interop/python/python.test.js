// The official Python clients: sign-in, step-up, and what a session does when its token has expired.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { startServer } from '../support/example.js';

const CLIENT = fileURLToPath(new URL('client.py', import.meta.url));
const ENVIRONMENTS = new URL('../../../target/python/', import.meta.url);
const DAY_S = 24 * 60 * 60; // The lifetime of Clerk's tokens.

const FIRST = ['profile', 'email'];
const ALL = [...FIRST, 'public_metadata'];
const CLIENTS = [
  { environment: 'mcp-1', kind: 'session', version: '2025-11-25' },
  { environment: 'mcp-2', kind: 'session', version: '2025-11-25', offline: true },
  { environment: 'mcp-2', kind: 'client', version: '2026-07-28', offline: true },
  { environment: 'fastmcp', kind: 'fastmcp', version: '2026-07-28', offline: true },
];

let server;
before(async () => void (server = await startServer()));
after(() => server?.stop());

for (const { environment, kind, version, offline } of CLIENTS) {
  describe(`${environment}, ${kind}, ${version}`, () => {
    const requested = (scopes) => new Set(offline ? [...scopes, 'offline_access'] : scopes);
    const asked = ({ signIns }) => signIns.map((scope) => new Set(scope.split(' ')));
    let client;

    before(() => void (client = new Client(environment, kind)));
    after(() => client.stop());

    it('signs in and calls a tool', async () => {
      const connected = await client.next();
      assert.deepEqual(asked(connected), [requested(FIRST)]);
      const { result } = await client.call('whoami');
      assert.deepEqual(new Set(result.scopes), requested(FIRST));
    });

    it('requests the scope that a tool requires', async () => {
      const stepped = await client.call('get_public_metadata');
      assert.deepEqual(asked(stepped), [requested(ALL)]);
      assert.deepEqual(stepped.result.publicMetadata, {});
      const rejected = (await server.takeExchanges()).filter(({ status }) => status === 403);
      assert.equal(rejected.length, 1);
      assert.match(rejected[0].challenge, /^Bearer error="insufficient_scope", .*scope="profile email public_metadata"$/);
    });

    it('keeps its scopes when its token has expired', async () => {
      await server.advance(DAY_S + 60);
      const renewed = await client.call('get_public_metadata');
      assert.deepEqual(renewed.result?.publicMetadata, {}, renewed.error);
      assert.deepEqual(asked(renewed), [requested(ALL)]);
      const calls = (await server.takeExchanges()).filter(({ method }) => method === 'POST');
      assert.deepEqual(calls.map(({ status }) => status), [401, 200]);
      assert.match(calls[0].challenge, /^Bearer error="invalid_token", .*scope="profile email public_metadata"$/);
      assert.equal(calls[0].version, version);
      assert.equal(calls[0].name, version === '2026-07-28' ? 'get_public_metadata' : null);
    });

    it('keeps them when the token expired for a call that needs less', async () => {
      await server.advance(DAY_S + 60);
      const renewed = await client.call('whoami');
      assert.deepEqual(new Set(renewed.result?.scopes), requested(ALL), renewed.error);
      const again = await client.call('get_public_metadata');
      assert.deepEqual(again.signIns, []);
      assert.deepEqual(again.result?.publicMetadata, {}, again.error);
    });
  });
}

class Client {
  errors = [];

  constructor(environment, kind) {
    const python = fileURLToPath(new URL(`${environment}/bin/python`, ENVIRONMENTS));
    this.process = spawn(python, [CLIENT, kind, server.endpoint], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.process.stderr.setEncoding('utf8').on('data', (text) => this.errors.push(text));
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Returns what the client printed next. */
  async next() {
    const { value, done } = await this.lines.next();
    assert.equal(done, false, `the client exited: ${this.errors.join('')}`);
    return JSON.parse(value);
  }

  async call(tool) {
    this.process.stdin.write(`${tool}\n`);
    return this.next();
  }

  async stop() {
    if (this.process.exitCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await exited;
  }
}
