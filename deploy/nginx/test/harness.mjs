// A real nginx with the files that users get, and servers behind it that reply with their names, which Doorbuster never does.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SOURCE = new URL('../', import.meta.url).pathname;
export const HANG_LIMIT_MS = 60_000;
const PORT_TRIES = 5;
const CACHE = '/var/cache/nginx-doorbuster';

/** A server that replies with its name, and records its requests. */
export class Instance {
  static async start(name, port = 0) {
    const instance = new Instance();
    Object.assign(instance, { name, requests: [], hangsUp: false, waiting: [] });
    instance.server = createServer((incoming, reply) => {
      instance.requests.push(incoming);
      // Reads a request and closes without a reply, as a process that is killed does.
      if (instance.hangsUp) incoming.socket.destroy();
      else if (incoming.url === '/waits') instance.waiting.push(reply);
      else if (incoming.url.includes('line-feed')) instance.#sendFeed(incoming, reply);
      else reply.end(name);
    });
    instance.server.on('upgrade', (incoming, socket) => {
      instance.requests.push(incoming);
      socket.end(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Instance: ${name}\r\n\r\n`);
    });
    instance.server.listen(port, '127.0.0.1');
    await once(instance.server, 'listening');
    instance.port = instance.server.address().port;
    return instance;
  }

  /** Replies as Doorbuster does: with a document for everyone, or as long as `isSlow` says, not yet. */
  #sendFeed(incoming, reply) {
    const send = () => {
      reply.setHeader('ETag', 'W/"7-active"');
      reply.setHeader('Cache-Control', 'public, max-age=1');
      reply.setHeader('X-Request-Id', 'of-the-first-one');
      if (incoming.headers['if-none-match'] === 'W/"7-active"') reply.writeHead(304);
      else if (incoming.url.includes('unknown')) reply.writeHead(404);
      reply.end(incoming.headers['if-none-match'] ? '' : `line of ${incoming.url}`);
    };
    if (this.isSlow) this.waiting.push({ end: send });
    else send();
  }

  /** Starts another on the port of one that was stopped; waits while another process has the port. */
  static async restart({ name, port }) {
    for (const deadline = Date.now() + HANG_LIMIT_MS; ;) {
      try {
        return await Instance.start(name, port);
      } catch (error) {
        if (error.code !== 'EADDRINUSE' || Date.now() > deadline) throw error;
        await new Promise((again) => setTimeout(again, 50));
      }
    }
  }

  async stop() {
    this.server.close();
    this.server.closeAllConnections();
    if (this.server.listening) await once(this.server, 'close');
  }
}

/** A port that was free a moment ago: nginx is started on another one when it is taken. */
export async function findPort() {
  const instance = await Instance.start('nobody');
  await instance.stop();
  return instance.port;
}

/** nginx in its own folder, with the files that users get: only addresses and paths are changed. */
export class Nginx {
  /** Starts it with these files beside nginx.conf, which `prepare` changes. A port that is taken meanwhile is another one the next time. */
  static async start(files, prepare) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await Nginx.#start(files, prepare);
      } catch (error) {
        if (tries === PORT_TRIES || !/in use/i.test(error.message)) throw error;
      }
    }
  }

  static async #start(files, prepare) {
    const nginx = new Nginx();
    nginx.folder = mkdtempSync(join(tmpdir(), 'doorbuster-nginx-'));
    nginx.port = await findPort();
    for (const file of ['nginx.conf', ...files]) cpSync(join(SOURCE, file), join(nginx.folder, file));
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`).join(' ');
    nginx.change('nginx.conf', 'pid /run/nginx.pid;', 'pid nginx.pid;');
    nginx.change('nginx.conf', 'http {', `http { ${temporary}`);
    // Started by root its workers are another user, who could not write into this folder.
    if (process.getuid() === 0) nginx.change('nginx.conf', 'worker_processes auto;', 'user root; worker_processes auto;');
    for (const file of files.filter((file) => nginx.read(file).includes(CACHE))) nginx.change(file, CACHE, 'feeds');
    await prepare(nginx);
    nginx.child = spawn('nginx', ['-p', nginx.folder, '-c', 'nginx.conf', '-e', 'stderr', '-g', 'daemon off;'], {
      env: { PATH: `${process.env.PATH}:/usr/sbin` },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    nginx.child.stderr.on('data', (text) => { log += text; });
    let failure;
    nginx.child.on('error', (error) => { failure = error; });
    nginx.child.on('close', (code) => { failure ??= new Error(`nginx ended with ${code}: ${log}`); });
    const deadline = Date.now() + HANG_LIMIT_MS;
    while (!(await nginx.send('GET', '/').catch(() => undefined))) {
      if (failure) throw failure;
      if (Date.now() > deadline) throw new Error(`nginx does not answer: ${log}`);
      await new Promise((again) => setTimeout(again, 20));
    }
    return nginx;
  }

  read(file) {
    return readFileSync(join(this.folder, file), 'utf8');
  }

  change(file, from, to) {
    const path = join(this.folder, file);
    const text = this.read(file);
    assert.ok(text.includes(from), `${file} has '${from}'`);
    writeFileSync(path, text.replace(from, to));
  }

  /** One request on a connection of its own: status, headers, body, and which instance took an upgrade. */
  send(method, path, headers = {}, body, port = this.port) {
    return new Promise((done, failed) => {
      const outgoing = request({ host: '127.0.0.1', port, agent: false, method, path, headers });
      outgoing.on('error', failed);
      outgoing.on('upgrade', (reply, socket) => {
        socket.destroy();
        done({ status: reply.statusCode, instance: reply.headers['x-instance'] });
      });
      outgoing.on('response', async (reply) => {
        let text = '';
        for await (const piece of reply.setEncoding('utf8')) text += piece;
        done({ status: reply.statusCode, headers: reply.headers, text });
      });
      outgoing.end(body);
    });
  }

  poll(client, query = '') {
    return this.send('GET', `/socket.io/?EIO=4&transport=polling${query}`, { 'User-Agent': client });
  }

  upgrade(client, query = '') {
    const headers = { 'User-Agent': client, Connection: 'Upgrade', Upgrade: 'websocket' };
    return this.send('GET', `/socket.io/?EIO=4&transport=websocket${query}`, headers);
  }

  async stop() {
    const gone = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await gone;
    rmSync(this.folder, { recursive: true });
  }
}
