// A real Doorbuster in its own folder, with a merchant who makes sales.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const EMAIL = 'merchant@example.com';
const PASSWORD = 'only for this test';
/** The debug binary, unless the environment names another. */
const BINARY = process.env.DOORBUSTER_BINARY ?? new URL('../../../target/debug/doorbuster', import.meta.url).pathname;

export class Doorbuster {
  /** Starts one with more flags of `serve`. */
  static async start(...flags) {
    const shop = new Doorbuster();
    shop.folder = mkdtempSync(join(tmpdir(), 'doorbuster-k6-'));
    const args = ['serve', '--listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0', '--data', join(shop.folder, 'data')];
    const env = { PATH: process.env.PATH, DOORBUSTER_ADMIN_EMAIL: EMAIL, DOORBUSTER_ADMIN_PASSWORD: PASSWORD };
    shop.child = spawn(BINARY, [...args, ...flags], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    shop.url = await new Promise((done, failed) => {
      let output = '';
      shop.child.stdout.on('data', (text) => {
        output += text;
        const [, url] = /listens on (http:\/\/\S+)/.exec(output) ?? [];
        if (url) done(url);
      });
      shop.child.on('error', failed);
      shop.child.on('exit', (code) => failed(new Error(`${BINARY} ended with ${code}: ${output}`)));
    });
    shop.admin = (await shop.post('/auth/login', { email: EMAIL, password: PASSWORD })).accessToken;
    const price = { amount: 4999, currency: 'EUR' };
    shop.product = (await shop.post('/admin/products', { name: 'Lamp', description: 'A lamp.', price })).id;
    return shop;
  }

  async stop() {
    const gone = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGKILL');
    await gone;
    rmSync(this.folder, { recursive: true });
  }

  /** Makes a sale that starts after a time, with more settings. */
  async sale(settings, starts_s = -1) {
    const at = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();
    const price = { amount: 1999, currency: 'EUR' };
    const times = { startsAt: at(starts_s), endsAt: at(3600) };
    return this.post('/admin/flash-sales', { productId: this.product, price, ...times, ...settings });
  }

  /** The current document of a sale. */
  async readSale(id) {
    return (await fetch(`${this.url}/api/v1/flash-sales/${id}`)).json();
  }

  async post(path, body) {
    const headers = { 'content-type': 'application/json' };
    if (this.admin) headers.authorization = `Bearer ${this.admin}`;
    const reply = await fetch(`${this.url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
    return reply.json();
  }
}
