// Starts mcpgate as a separate process with its own data directory, and the upstream servers.
import { execFile, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = new URL('../../', import.meta.url).pathname;
export const BINARY = process.env.MCPGATE_BIN ?? join(ROOT, 'target/debug/mcpgate');

export const ACCOUNT = { name: 'admin', password: 'seven-boats-on-a-quiet-lake' };

// Below the kernel's ephemeral ports (32,768 and up), which a connection could take between the choice and the bind,
// and below the ports of the Rust tests (20,000 and up). Above 10,080, which fetch and browsers refuse (Fetch, port
// blocking).
const [FIRST_PORT, END] = [10_100, 20_000];
// The test files run as parallel processes with similar process ids: each has its own range of ports.
const PORTS = 64;
let chosen = 0;

/** A port that is free on every address, and that no connection or other test file receives by chance. */
export async function freePort() {
  const first = FIRST_PORT + (process.pid % Math.floor((END - FIRST_PORT) / PORTS)) * PORTS;
  for (let attempt = 0; attempt < PORTS; attempt += 1) {
    const port = first + (chosen++ % PORTS);
    const server = createServer();
    const isFree = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '0.0.0.0', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
  throw new Error(`none of the ${PORTS} ports from ${first} is free`);
}

/** Polls until `probe` answers without throwing. */
export async function until(what, probe, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (Date.now() > end) throw new Error(`${what}: ${error.message}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A child process whose output is kept for failure reports. */
export function child(command, args, options = {}) {
  const running = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  running.output = '';
  for (const stream of [running.stdout, running.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (running.output += text));
  }
  running.ended = new Promise((resolve) => running.on('close', (code, signal) => resolve(code ?? signal)));
  running.stop = async () => {
    running.kill('SIGTERM');
    return running.ended;
  };
  return running;
}

/**
 * Starts the gateway; `config` is the text of a gateway.toml that is added to the defaults of `mcpgate up`,
 * `certificates` the data directory of another gateway whose development CA is used.
 */
export async function startGateway({ config = '', upstream, certificates } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'mcpgate-clients-'));
  const [port, operatorPort] = [await freePort(), await freePort()];
  const data = join(home, 'data');
  if (certificates) {
    mkdirSync(data, { mode: 0o700 });
    cpSync(join(certificates, 'certs'), join(data, 'certs'), { recursive: true });
  }
  writeFileSync(join(home, 'password'), ACCOUNT.password);
  writeFileSync(join(home, 'gateway.toml'), config);
  const args = ['up', ...(upstream ? [upstream] : []), '--data', data, '--workers', '2'];
  args.push('--listen', `127.0.0.1:${port}`, '--operator-listen', `127.0.0.1:${operatorPort}`);
  args.push('--public-url', `https://localhost:${port}`, '--admin-password-file', join(home, 'password'));
  args.push('--config', join(home, 'gateway.toml'));
  const process = child(BINARY, args);
  await until('mcpgate does not start', async () => {
    if (process.exitCode !== null) throw new Error(process.output);
    const answer = await fetch(`http://127.0.0.1:${operatorPort}/healthz`);
    if (!answer.ok) throw new Error(`/healthz answers ${answer.status}`);
  }).catch((error) => {
    process.kill('SIGKILL');
    throw new Error(`${error.message}\n${process.output}`);
  });
  return {
    process,
    data,
    origin: `https://localhost:${port}`,
    operator: `http://127.0.0.1:${operatorPort}`,
    ca: join(data, 'certs/ca.pem'),
    /** Runs a command of mcpgate on the same data while the server runs. */
    async command(...words) {
      const run = promisify(execFile);
      const { stdout } = await run(BINARY, [...words, '--data', data, '--json']);
      return stdout.trim() ? JSON.parse(stdout) : undefined;
    },
    async stop() {
      const status = await process.stop();
      rmSync(home, { recursive: true, force: true });
      return status;
    },
  };
}
