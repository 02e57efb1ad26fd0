// Signs in on the consent page of the interactive stand-in, in a real browser.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { chromium } from 'playwright-core';

import { startExample } from './support/example.js';
import { claims } from './support/user.js';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'];
const NAME = '<script>document.title = "injected"</script>';

describe('the consent page', () => {
  let server;
  let client;
  let profile;
  let browser;
  let page;
  let pageOfClient = '';

  before(async () => {
    server = await startExample({}, ['--interactive']);
    client = createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><p>client</p>${pageOfClient}`);
    });
    client.listen(0, '127.0.0.1');
    await once(client, 'listening');
    profile = await mkdtemp(join(tmpdir(), 'interop-chromium-'));
    browser = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, args: FLAGS });
    page = await browser.newPage();
  });

  after(async () => {
    await browser?.close();
    if (profile) await rm(profile, { recursive: true, force: true });
    client?.closeAllConnections();
    client?.close();
    await server?.stop();
  });

  const origin = () => `http://127.0.0.1:${client.address().port}`;

  /** Registers a client and returns its authorization request, and a function that redeems a code. */
  const authorization = async () => {
    const redirectUri = `${origin()}/callback`;
    const metadata = { redirect_uris: [redirectUri], token_endpoint_auth_method: 'none', client_name: NAME };
    const registered = await fetch(`${server.clerk}/oauth/register`, { method: 'POST', body: JSON.stringify(metadata) });
    const { client_id } = await registered.json();
    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({
      response_type: 'code',
      client_id,
      redirect_uri: redirectUri,
      scope: 'profile email',
      state: 'state-1',
      resource: server.endpoint,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const redeem = async (code) => {
      const form = { grant_type: 'authorization_code', code, client_id, redirect_uri: redirectUri, code_verifier: verifier };
      const response = await fetch(`${server.clerk}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
      return (await response.json()).access_token;
    };
    return { url: `${server.clerk}/oauth/authorize?${query}`, redeem };
  };

  it('shows what a client chose as text', async () => {
    const { url } = await authorization();
    await page.goto(url);
    assert.equal(await page.title(), `${NAME} asks for access`);
    assert.equal(await page.textContent('h1'), `${NAME} asks for access`);
    assert.equal(await page.locator('script').count(), 0);
    // The policy allows the style of the page.
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('label')).display), 'block');
  });

  it('signs in as the chosen user', async () => {
    const { url, redeem } = await authorization();
    await page.goto(url);
    await page.check('input[value=user_grace]');
    await page.click('text=Allow');
    await page.waitForURL(`${origin()}/callback?*`);
    const query = new URL(page.url()).searchParams;
    assert.deepEqual([query.get('state'), query.get('iss')], ['state-1', server.clerk]);
    const token = claims(await redeem(query.get('code')));
    assert.deepEqual([token.sub, token.aud], ['user_grace', server.endpoint]);
  });

  it('reports that the user denied the request', async () => {
    const { url } = await authorization();
    await page.goto(url);
    await page.click('text=Deny');
    await page.waitForURL(`${origin()}/callback?*`);
    assert.deepEqual(Object.fromEntries(new URL(page.url()).searchParams), {
      error: 'access_denied',
      error_description: 'the user denied the request',
      state: 'state-1',
      iss: server.clerk,
    });
  });

  it('cannot be framed', async () => {
    const { url } = await authorization();
    pageOfClient = `<iframe src="${url.replaceAll('&', '&amp;')}"></iframe>`;
    const blocked = page.waitForEvent('console', (message) => message.text().includes("frame-ancestors 'none'"));
    await page.goto(`${origin()}/frame`);
    await blocked;
  });

  it('takes no decision from a page of another port of its host', async () => {
    const { url } = await authorization();
    await page.goto(url);
    const id = await page.getAttribute('input[name=request]', 'value');
    pageOfClient = `<form method="post" action="${server.clerk}/oauth/consent">
      <input name="request" value="${id}"><button name="decision" value="allow">send</button></form>`;
    await page.goto(`${origin()}/form`);
    await page.click('text=send');
    await page.waitForURL(`${server.clerk}/oauth/consent`);
    assert.equal(await page.textContent('p'), 'The form was sent by another page.');
  });
});
