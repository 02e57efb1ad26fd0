// Both major versions of the official client behind one interface.

import assert from 'node:assert/strict';

import * as v2 from '@modelcontextprotocol/client';
import * as auth from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { Recorder } from './recorder.js';

const v1 = { ...auth, Client, StreamableHTTPClientTransport };

export const SDKS = [
  {
    name: '@modelcontextprotocol/sdk (1.x)',
    api: v1,
    protocol: '2025-11-25',
    clientOptions: {},
    // The scopes of the challenge, unchanged.
    scope: 'profile email',
    stepsUp: false,
    finishAuth: (transport, callback) => transport.finishAuth(callback.get('code')),
  },
  {
    name: '@modelcontextprotocol/client (2.x)',
    api: v2,
    protocol: '2025-11-25',
    clientOptions: {},
    // Adds `offline_access` if the authorization server supports it.
    scope: 'profile email offline_access',
    stepsUp: true,
    // Includes `iss`, which this SDK checks (RFC 9207).
    finishAuth: (transport, callback) => transport.finishAuth(callback),
  },
  {
    name: '@modelcontextprotocol/client (2.x) in 2026-07-28',
    api: v2,
    protocol: '2026-07-28',
    clientOptions: { versionNegotiation: { mode: { pin: '2026-07-28' } } },
    scope: 'profile email offline_access',
    stepsUp: true,
    finishAuth: (transport, callback) => transport.finishAuth(callback),
  },
];

/** A client of one user, with a record of its requests. */
export class Session {
  recorder = new Recorder();
  closing = [];

  constructor(sdk, user, { wrap = (fetch) => fetch, ...transportOptions } = {}) {
    this.sdk = sdk;
    this.user = user;
    this.transportOptions = { authProvider: user, fetch: wrap(this.recorder.fetch), ...transportOptions };
  }

  /** Connects with the stored tokens. */
  async connect(url) {
    const { Client, StreamableHTTPClientTransport } = this.sdk.api;
    this.transport = new StreamableHTTPClientTransport(new URL(url), this.transportOptions);
    this.client = new Client({ name: 'interop', version: '1.0.0' }, this.sdk.clientOptions);
    this.closing.push(this.client);
    await this.client.connect(this.transport);
  }

  /** Starts authorization, and completes it with the parameters of the redirect. */
  async authorize(url) {
    await assert.rejects(this.connect(url), (error) => error instanceof this.sdk.api.UnauthorizedError);
    await this.sdk.finishAuth(this.transport, this.user.callback);
  }

  async signIn(url) {
    await this.authorize(url);
    await this.connect(url);
  }

  /** Calls a tool and returns its result, one JSON value. */
  async call(name, parameters = {}) {
    const result = await this.client.callTool({ name, arguments: parameters });
    assert.equal(result.isError ?? false, false, JSON.stringify(result.content));
    return JSON.parse(onlyText(result));
  }

  async close() {
    for (const client of this.closing) await client.close();
  }
}

export function onlyText(result) {
  assert.equal(result.content.length, 1);
  assert.equal(result.content[0].type, 'text');
  return result.content[0].text;
}
