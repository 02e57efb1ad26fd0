// Two users of the chat application, each in a browser of their own.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { chromium } from 'playwright-core';

import { startChatApp } from './support/example.js';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
const BOB = /^user_\w{27} with profile email offline_access$/;

describe('the chat application', () => {
  let directory;
  let server;
  let app;
  let browser;
  let alice;
  let bob;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'interop-chat-'));
    server = await startChatApp({}, ['server']);
    app = await startApp();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
    [alice, bob] = [await visit('alice'), await visit('bob')];
  });

  after(async () => {
    await browser?.close();
    await app?.stop();
    await server?.stop();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  const startApp = () => startChatApp({ MCP_CHAT_DB: join(directory, 'chat.db'), MCP_SERVER_URL: server.origin });
  const visible = (page) => page.innerText('body');
  const click = (page, name) => page.getByRole('button', { name, exact: true }).click();

  /** Opens the application in a browser without cookies, and is this user from then on. */
  const visit = async (user) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    await page.goto(app.origin);
    await click(page, `Be ${user}`);
    assert.match(await visible(page), new RegExp(`^You are ${user}\\.`));
    return page;
  };

  /** Allows what the consent page asks for. Returns the scopes that it names. */
  const allow = async (page, arrive = () => page.waitForURL(`${app.origin}/`)) => {
    // Alice is Grace there, and Bob the user that is chosen already.
    if (page === alice) await page.check('input[value=user_grace]');
    const scopes = await page.locator('ul').first().locator('li').allInnerTexts();
    const arriving = arrive();
    await click(page, 'Allow');
    await arriving;
    return scopes;
  };

  const connections = async (page) => {
    await page.goto(app.origin);
    return (await page.locator('p').allInnerTexts()).filter((text) => text.startsWith(server.origin));
  };

  /** Presses a button of a connection. Returns what the application answers. */
  const answer = async (page, name) => {
    await page.goto(app.origin);
    await click(page, name);
    return page.locator('p').first().innerText();
  };

  it('sends the browser of another user away, and waits for the right one', async () => {
    // The redirect of the authorization server does not arrive in the browser of Alice.
    let callback;
    await alice.route('**/oauth/consent', async (route) => {
      const response = await route.fetch({ maxRedirects: 0 });
      callback = response.headers().location;
      await route.fulfill({ body: 'no redirect' });
    });
    await click(alice, 'Connect');
    await allow(alice, () => alice.getByText('no redirect').waitFor());
    await alice.unroute('**/oauth/consent');
    assert.ok(callback.startsWith(`${app.origin}/mcp/callback?`), callback);

    await bob.goto(callback);
    assert.equal(bob.url(), `${app.origin}/?error=other-user`);
    assert.match(await visible(bob), /The sign-in at the server failed: other-user/);
    assert.deepEqual(await connections(bob), []);
    assert.deepEqual(await connections(alice), []);

    await alice.goto(callback);
    assert.equal(alice.url(), `${app.origin}/`);
    const expected = [`${server.origin} (profile email offline_access): connected`];
    assert.deepEqual(await connections(alice), expected);
    assert.deepEqual(await connections(bob), []);

    // It was for one use, by anybody.
    for (const page of [alice, bob]) {
      await page.goto(callback);
      assert.equal(page.url(), `${app.origin}/?error=expired`);
    }
    assert.deepEqual(await connections(alice), expected);
  });

  it('calls a tool for each user with a token of that user', async () => {
    await connections(bob);
    await click(bob, 'Connect');
    await allow(bob);
    assert.equal(await answer(alice, 'Who am I?'), 'user_grace with profile email offline_access');
    assert.match(await answer(bob, 'Who am I?'), BOB);
  });

  it('asks a user for more scopes when a tool needs them', async () => {
    await connections(alice);
    await click(alice, 'Add a note');
    const asked = await allow(alice);
    assert.deepEqual(asked.sort(), ['email', 'notes:write', 'offline_access', 'profile']);
    assert.equal(await answer(alice, 'Add a note'), 'The note was added.');
    // Bob granted nothing by that.
    const expected = [`${server.origin} (profile email offline_access): connected`];
    assert.deepEqual(await connections(bob), expected);
  });

  it('keeps the connections when it is killed, and no token in its files', async () => {
    await app.stop(); // With SIGKILL.
    const files = (await readdir(directory)).filter((name) => name.startsWith('chat.db'));
    assert.deepEqual(files.sort(), ['chat.db', 'chat.db-shm', 'chat.db-wal', 'chat.db.keys']);
    let stored = '';
    for (const name of files) {
      assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600, name);
      stored += await readFile(join(directory, name), 'latin1');
    }
    assert.match(stored, /connection\/[\w-]{43}\/[\w-]{43}/);
    // Access tokens are JWTs; what else is secret stands beside the names of users and servers.
    assert.doesNotMatch(stored, /eyJ[\w-]{8,}\.|user_grace|user_\w{27}|alice|127\.0\.0\.1|offline_access/);

    app = await startApp();
    assert.equal(
      await answer(alice, 'Who am I?'),
      'user_grace with profile email offline_access notes:write',
    );
    assert.equal(await answer(alice, 'Add a note'), 'The note was added.');
    assert.match(await answer(bob, 'Who am I?'), BOB);
  });

  it('ends the connection of one user', async () => {
    await connections(bob);
    await click(bob, 'Disconnect');
    assert.deepEqual(await connections(bob), []);
    assert.equal((await connections(alice)).length, 1);
    assert.equal(await answer(alice, 'Who am I?'), 'user_grace with profile email offline_access notes:write');
    await connections(alice);
    await click(alice, 'Disconnect');
    assert.deepEqual(await connections(alice), []);
  });
});
