// Starts a server with cargo, and stops it: an example, or the program in `server`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CRATE = fileURLToPath(new URL('../../..', import.meta.url));
const EXAMPLE_VARIABLES = /^(NEXT_PUBLIC_)?CLERK_|^MCP_|^(DATABASE|REDIS)_URL$|^RUST_LOG$/;
const CHAT_APP = ['--manifest-path', 'examples/chat_app/Cargo.toml'];
const START_TIMEOUT_MS = 15 * 60_000; // The first start may compile the example.
const CLERK = /stand-in for Clerk runs at (http:\/\/[^\s/]+:\d+)/;

/** Starts the example with only these settings and arguments. Resolves when it is listening. */
export async function startExample(settings = {}, args = []) {
  const { lineWith, origin, stop } = await start(['--example', 'rmcp_axum'], settings, args);
  const startsFakeClerk = !('CLERK_FAPI' in settings);
  const clerk = startsFakeClerk ? (await lineWith(CLERK))[1] : settings.CLERK_FAPI;
  return { origin, clerk, endpoint: `${origin}/mcp`, stop };
}

/**
 * Starts the program in `server`: the example with a clock that `advance` advances, in `suite` the
 * services for the conformance suite, and in `argumentsEndpoint` a server whose tool asks for scopes. `takeExchanges` returns the requests to the example since the
 * last time, with their status.
 */
export async function startServer() {
  const { lineWith, lines, origin, send, stop } = await start(['--example', 'interop']);
  const [, clerk] = await lineWith(CLERK);
  const [, token] = await lineWith(/^listening on \S+ with the token (\S+)$/);
  const [, suiteOrigin, suiteToken] = await lineWith(/^suite on (\S+) with the token (\S+)$/);
  const [, argumentsOrigin] = await lineWith(/^arguments on (\S+)$/);
  const suite = { guarded: `${suiteOrigin}/mcp`, unguarded: `${suiteOrigin}/unguarded`, token: suiteToken };
  const exchanges = [];
  lines.on('line', (line) => {
    if (line.startsWith('{')) exchanges.push(JSON.parse(line));
  });
  let commands = 0;
  const advance = async (seconds) => {
    commands += 1;
    send(`advance ${seconds}`);
    await lineWith(new RegExp(`^command ${commands} done$`));
  };
  // The lines of the requests so far come before that of the command.
  const takeExchanges = () => advance(0).then(() => exchanges.splice(0));
  const argumentsEndpoint = `${argumentsOrigin}/mcp`;
  return { origin, clerk, endpoint: `${origin}/mcp`, token, suite, argumentsEndpoint, advance, takeExchanges, stop };
}

/** Starts the chat application of the examples, or with the argument `server` the MCP server for it. */
export async function startChatApp(settings, args) {
  // Where the crate is built as well, whose dependencies it has.
  return start(CHAT_APP, { CARGO_TARGET_DIR: `${CRATE}/target`, ...settings }, args);
}

async function start(program, settings = {}, args = []) {
  const inherited = Object.entries(process.env).filter(([name]) => !EXAMPLE_VARIABLES.test(name));
  const child = spawn('cargo', ['run', '--quiet', '--locked', ...program, '--', ...args], {
    cwd: CRATE,
    env: { ...Object.fromEntries(inherited), MCP_BIND: '127.0.0.1:0', ...settings },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  const log = [];
  child.stderr.setEncoding('utf8').on('data', (text) => log.push(text));
  const lines = createInterface({ input: child.stdout });
  const printed = [];
  lines.on('line', (line) => printed.push(line));
  const lineWith = (pattern) => findLine(child, lines, printed, pattern);
  try {
    const [, origin] = await lineWith(/^listening on (http:\/\/\S+)/);
    const send = (command) => child.stdin.write(`${command}\n`);
    return { origin, lineWith, lines, send, stop: () => stop(child) };
  } catch (error) {
    await stop(child);
    throw new Error(`the example did not start: ${error.message}\n${log.join('')}`);
  }
}

function findLine(child, lines, printed, pattern) {
  return new Promise((resolve, reject) => {
    const look = (line) => {
      const found = pattern.exec(line);
      if (!found) return;
      settle();
      resolve(found);
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
