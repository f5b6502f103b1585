// A real Doorbuster in its own folder, which can be killed and started again, with a merchant, buyers and sockets.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const EMAIL = 'merchant@example.com';
const PASSWORD = 'only for this test';
const BINARY = process.env.DOORBUSTER_BINARY ?? new URL('../../../../target/debug/doorbuster', import.meta.url).pathname;
// Ends a wait that hangs; how fast something must be is asserted elsewhere.
const HANG_LIMIT_MS = 60_000;

export class Shop {
  static async start(...flags) {
    const shop = new Shop();
    shop.folder = mkdtempSync(join(tmpdir(), 'doorbuster-sockets-'));
    shop.flags = flags;
    shop.sockets = [];
    shop.names = 0;
    await shop.run('127.0.0.1:0');
    shop.admin = (await shop.post('/auth/login', { email: EMAIL, password: PASSWORD })).accessToken;
    const price = { amount: 4999, currency: 'EUR' };
    shop.product = (await shop.post('/admin/products', { name: 'Lamp', description: 'A lamp.', price })).id;
    return shop;
  }

  async run(listen) {
    const args = ['serve', '--listen', listen, '--metrics-listen', '127.0.0.1:0', '--data', join(this.folder, 'data'), '--drain-grace', '1ms'];
    const env = { PATH: process.env.PATH, DOORBUSTER_ADMIN_EMAIL: EMAIL, DOORBUSTER_ADMIN_PASSWORD: PASSWORD };
    this.child = spawn(BINARY, [...args, ...this.flags], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stderr.pipe(process.stderr, { end: false });
    /** What it has logged since its start. */
    this.log = '';
    this.child.stderr.on('data', (text) => { this.log += text; });
    await new Promise((done, failed) => {
      let output = '';
      this.child.stdout.on('data', (text) => {
        output += text;
        const [, url] = /listens on (http:\/\/\S+)/.exec(output) ?? [];
        const [, metrics] = /Metrics are at (http:\/\/\S+)\./.exec(output) ?? [];
        if (url && metrics) done(Object.assign(this, { url, metrics }));
      });
      this.child.stderr.on('data', (text) => { output += text; });
      this.child.on('error', failed);
      this.child.on('exit', (code) => failed(new Error(`${BINARY} ended with ${code}: ${output}`)));
    });
  }

  /** Ends the process by a signal and waits for its end. */
  async end(signal) {
    const gone = once(this.child, 'exit');
    this.child.kill(signal);
    return (await gone)[0];
  }

  /** Starts it again on its port, which the system may have given to another process in between: then it waits for the port. */
  async restart() {
    const { host } = new URL(this.url);
    await waitUntil(`${host} is free`, () => this.run(host).then(() => true, (error) => {
      if (!/in use/i.test(error.message)) throw error;
      return false;
    }));
  }

  async stop() {
    for (const socket of this.sockets) socket.disconnect();
    if (this.child.exitCode === null && this.child.signalCode === null) await this.end('SIGKILL');
    rmSync(this.folder, { recursive: true });
  }

  async sale(settings, startsS = -1, endsS = 3600) {
    const at = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();
    const price = { amount: 1999, currency: 'EUR' };
    const times = { startsAt: at(startsS), endsAt: at(endsS) };
    return (await this.post('/admin/flash-sales', { productId: this.product, price, ...times, ...settings })).id;
  }

  /** A new account's access token. */
  async buyer() {
    this.names += 1;
    const username = `buyer${this.names}`;
    const body = { email: `${username}@example.com`, username, password: 'a password for tests' };
    return (await this.post('/auth/register', body, null)).accessToken;
  }

  /** Another session of an account that was made before, by its number. */
  async login(number) {
    const body = { email: `buyer${number}@example.com`, password: 'a password for tests' };
    return (await this.post('/auth/login', body, null)).accessToken;
  }

  async post(path, body, token = this.admin, method = 'POST') {
    const headers = { 'content-type': 'application/json' };
    if (token) headers.authorization = `Bearer ${token}`;
    const reply = await fetch(`${this.url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
    if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
    return reply.status === 204 ? null : reply.json();
  }

  async metric(name) {
    const text = await (await fetch(this.metrics)).text();
    return Number(new RegExp(`^doorbuster_${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  }

  /** A socket that records the events it receives, with their times. */
  socket(io, auth, options = {}) {
    const { url = this.url, ...rest } = options;
    const socket = io(url, { auth, forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...rest });
    socket.received = [];
    socket.onAny((event, document) => socket.received.push({ event, document, at: Date.now() }));
    this.sockets.push(socket);
    return socket;
  }
}

/** Waits until `poll` returns something true. */
export async function waitUntil(what, poll, limitMs = HANG_LIMIT_MS) {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const result = await poll();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

export const connected = (socket) => waitUntil('connected', () => socket.connected);

/** The documents of an event that a socket has received. */
export const receivedEvents = (socket, event) => socket.received.filter((message) => message.event === event).map((message) => message.document);

export const waitForEvent = (socket, event, matches = () => true) =>
  waitUntil(`${event} ${matches}`, () => receivedEvents(socket, event).find(matches));

export function request(socket, event, ...data) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${event} was not acknowledged`)), HANG_LIMIT_MS);
    socket.emit(event, ...data, (reply) => {
      clearTimeout(timer);
      resolve(reply);
    });
  });
}
