// Starts the example server as a reader of the README would, and stops it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CRATE = fileURLToPath(new URL('../../..', import.meta.url));
const OURS = /^(NEXT_PUBLIC_)?CLERK_|^MCP_|^RUST_LOG$/;
const START_TIMEOUT_MS = 15 * 60_000; // The first start may compile it.

/** Starts the example with these settings and no other; resolves when it prints that it listens. */
export async function startExample(settings = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !OURS.test(name));
  const child = spawn('cargo', ['run', '--quiet', '--locked', '--example', 'rmcp_axum'], {
    cwd: CRATE,
    env: { ...Object.fromEntries(inherited), MCP_BIND: '127.0.0.1:0', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  const log = [];
  child.stderr.setEncoding('utf8').on('data', (text) => log.push(text));
  const lines = createInterface({ input: child.stdout });
  const printed = [];
  lines.on('line', (line) => printed.push(line));
  try {
    const origin = await lineWith(child, lines, printed, /^listening on (http:\/\/\S+)$/);
    const hasStandIn = !('CLERK_FAPI' in settings);
    const clerk = hasStandIn
      ? await lineWith(child, lines, printed, /stand-in for Clerk runs at (http:\/\/[^\s/]+:\d+)/)
      : settings.CLERK_FAPI;
    return { origin, clerk, endpoint: `${origin}/mcp`, stop: () => stop(child) };
  } catch (error) {
    await stop(child);
    throw new Error(`the example did not start: ${error.message}\n${log.join('')}`);
  }
}

function lineWith(child, lines, printed, pattern) {
  return new Promise((resolve, reject) => {
    const look = (line) => {
      const found = pattern.exec(line);
      if (!found) return;
      settle();
      resolve(found[1]);
    };
    const ended = () => fail('it ended');
    const fail = (why) => {
      settle();
      reject(new Error(why));
    };
    const timer = setTimeout(() => fail('it printed nothing in time'), START_TIMEOUT_MS);
    const settle = () => {
      clearTimeout(timer);
      lines.off('line', look);
      child.off('exit', ended).off('error', fail);
    };
    lines.on('line', look);
    child.on('exit', ended).on('error', fail);
    printed.forEach(look);
  });
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
