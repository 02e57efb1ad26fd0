// Starts the example server with cargo, and stops it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CRATE = fileURLToPath(new URL('../../..', import.meta.url));
const EXAMPLE_VARIABLES = /^(NEXT_PUBLIC_)?CLERK_|^MCP_|^RUST_LOG$/;
const START_TIMEOUT_MS = 15 * 60_000; // The first start may compile the example.

/** Starts the example with only these settings. Resolves when it is listening. */
export async function startExample(settings = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !EXAMPLE_VARIABLES.test(name));
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
    const startsFakeClerk = !('CLERK_FAPI' in settings);
    const clerk = startsFakeClerk
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
    const exited = () => fail('it exited');
    const fail = (why) => {
      settle();
      reject(new Error(why));
    };
    const timer = setTimeout(() => fail('it printed no matching line in time'), START_TIMEOUT_MS);
    const settle = () => {
      clearTimeout(timer);
      lines.off('line', look);
      child.off('exit', exited).off('error', fail);
    };
    lines.on('line', look);
    child.on('exit', exited).on('error', fail);
    printed.forEach(look);
  });
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
