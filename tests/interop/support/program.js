// A client that is a program: runs it in a home of its own, and signs its user in.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const PROGRAMS = new URL('../clients/node_modules/.bin/', import.meta.url);
const AUTHORIZATION = /http:\/\/127\.0\.0\.1:\d+\/oauth\/authorize\?\S+/g;
const TIMEOUT_MS = 120_000;

/** Makes a home for the programs of one user, where they keep their tokens. */
export async function makeHome() {
  const path = await mkdtemp(join(tmpdir(), 'interop-home-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** A running program. It signs in at each authorization URL that it prints. */
export class Program {
  /** The URLs of the authorization requests. */
  authorizations = [];
  stdout = '';
  stderr = '';

  constructor(name, args, home, settings = {}) {
    // Nothing of the user's own environment, and no browser: the test is the browser.
    const env = { PATH: process.env.PATH, HOME: home.path, BROWSER: 'true', ...settings };
    // A group of its own: some programs start others.
    const options = { cwd: home.path, env, detached: true };
    this.process = spawn(fileURLToPath(new URL(name, PROGRAMS)), args, options);
    this.exited = once(this.process, 'exit');
    this.timer = globalThis.setTimeout(this.kill, TIMEOUT_MS);
    process.once('exit', this.kill);
    for (const stream of ['stdout', 'stderr']) {
      this.process[stream].setEncoding('utf8').on('data', (text) => {
        this[stream] += text;
      });
      createInterface({ input: this.process[stream] }).on('line', (line) => this.signIn(line));
    }
  }

  /** Opens the URLs in a line. */
  signIn(line) {
    for (const [url] of line.matchAll(AUTHORIZATION)) {
      if (this.authorizations.some(({ href }) => href === new URL(url).href)) continue;
      this.authorizations.push(new URL(url));
      this.approve(url).catch((error) => (this.stderr += `the sign-in failed: ${error}\n`));
    }
  }

  /** The fake Clerk redirects without asking the user. Some programs listen a while later. */
  async approve(url) {
    const response = await fetch(url, { redirect: 'manual' });
    const callback = response.headers.get('location');
    if (callback === null) throw new Error(`${response.status} ${await response.text()}`);
    while (this.process.exitCode === null && this.process.signalCode === null) {
      const called = await fetch(callback).catch(() => undefined);
      if (called) return;
      await setTimeout(50);
    }
  }

  /** The parameters of the authorization requests. */
  requested(name) {
    return this.authorizations.map((url) => url.searchParams.get(name));
  }

  /** Waits for its end. Returns what it printed to its output. */
  async ended() {
    const [code] = await this.exited;
    globalThis.clearTimeout(this.timer);
    process.off('exit', this.kill);
    return { code, stdout: this.stdout, stderr: this.stderr };
  }

  async stop() {
    this.kill();
    await this.ended();
  }

  kill = () => {
    try {
      process.kill(-this.process.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  };
}

/** A program that answers JSON-RPC messages, one per line. */
export class RpcProgram extends Program {
  waiting = new Map();
  lastId = 0;

  constructor(...args) {
    super(...args);
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      const message = JSON.parse(line);
      if (message.method === undefined) this.waiting.get(message.id)?.resolve(message);
    });
    this.exited.then(() => {
      const error = new Error(`it exited: ${this.stderr}`);
      this.waiting.forEach(({ reject }) => reject(error));
    });
  }

  /** Returns the response: `result` or `error`. */
  async request(method, params) {
    this.lastId += 1;
    const { promise, resolve, reject } = Promise.withResolvers();
    this.waiting.set(this.lastId, { resolve, reject });
    this.send({ id: this.lastId, method, params });
    return promise;
  }

  send(message) {
    this.process.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }
}
