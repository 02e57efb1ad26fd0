// Calls the server from a page of another origin in a real browser, which enforces CORS.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { chromium } from 'playwright-core';

import { startExample } from './support/example.js';
import { SDKS, Session } from './support/sdks.js';
import { User, claims } from './support/user.js';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

describe('a page of another origin', () => {
  let server;
  let pages;
  let profile;
  let browser;
  let page;
  let token;

  before(async () => {
    server = await startExample();
    const client = new Session(SDKS[0], new User());
    await client.signIn(server.endpoint);
    token = client.user.tokens().access_token;
    await client.close();

    pages = createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>client</title>');
    });
    pages.listen(0, '127.0.0.1');
    await once(pages, 'listening');
    profile = await mkdtemp(join(tmpdir(), 'interop-chromium-'));
    browser = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, args: FLAGS });
    page = await browser.newPage();
    await page.goto(`http://localhost:${pages.address().port}/`);
  });

  after(async () => {
    await browser?.close();
    if (profile) await rm(profile, { recursive: true, force: true });
    pages?.closeAllConnections();
    pages?.close();
    await server?.stop();
  });

  /** Fetches from within the page and returns what CORS lets it read. Rejects on a CORS failure. */
  const fetchInPage = (url, init) =>
    page.evaluate(
      async ([url, init]) => {
        const response = await fetch(url, init);
        const { status } = response;
        return { status, headers: Object.fromEntries(response.headers), body: await response.json() };
      },
      [url, init],
    );

  const rpc = (method, params, headers = {}) => ({
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });

  it('is subject to CORS', async () => {
    await assert.rejects(fetchInPage(`${server.clerk}/v1/jwks`), /Failed to fetch/);
  });

  it('reads the challenge and the metadata documents', async () => {
    const rejected = await fetchInPage(server.endpoint, rpc('tools/list', {}));
    const metadataUrl = `${server.origin}/.well-known/oauth-protected-resource/mcp`;
    assert.equal(rejected.status, 401);
    assert.equal(
      rejected.headers['www-authenticate'],
      `Bearer resource_metadata="${metadataUrl}", scope="profile email"`,
    );

    // The SDKs send this header, which is not CORS-safelisted, so the request is preflighted.
    const version = { headers: { 'mcp-protocol-version': '2025-11-25' } };
    const resource = await fetchInPage(metadataUrl, version);
    assert.equal(resource.status, 200);
    assert.equal(resource.body.resource, server.endpoint);
    assert.deepEqual(resource.body.authorization_servers, [server.clerk]);

    const authorizationServer = await fetchInPage(`${server.origin}/.well-known/oauth-authorization-server`, version);
    assert.equal(authorizationServer.status, 200);
    assert.equal(authorizationServer.body.issuer, server.clerk);
  });

  it('reads why a token is rejected', async () => {
    const rejected = await fetchInPage(server.endpoint, rpc('tools/list', {}, { authorization: 'Bearer not.a.token' }));
    assert.equal(rejected.status, 401);
    assert.match(rejected.headers['www-authenticate'], /^Bearer error="invalid_token", /);
  });

  it('calls a tool with a token and the headers of 2026-07-28', async () => {
    const version = '2026-07-28';
    const params = {
      name: 'whoami',
      arguments: {},
      _meta: {
        'io.modelcontextprotocol/protocolVersion': version,
        'io.modelcontextprotocol/clientInfo': { name: 'page', version: '1.0.0' },
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    };
    const headers = {
      authorization: `Bearer ${token}`,
      'mcp-protocol-version': version,
      'mcp-method': 'tools/call',
      'mcp-name': 'whoami',
    };
    const response = await fetchInPage(server.endpoint, rpc('tools/call', params, headers));
    assert.equal(response.status, 200);
    assert.equal(JSON.parse(response.body.result.content[0].text).userId, claims(token).sub);
  });

  it('calls a tool with a token and the headers of 2025-11-25', async () => {
    const headers = { authorization: `Bearer ${token}`, 'mcp-protocol-version': '2025-11-25' };
    const response = await fetchInPage(server.endpoint, rpc('tools/call', { name: 'whoami', arguments: {} }, headers));
    assert.equal(response.status, 200);
    assert.equal(JSON.parse(response.body.result.content[0].text).clientId, claims(token).client_id);
  });
});
