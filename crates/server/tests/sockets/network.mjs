// A WebSocket client without a library, which may stop reading; a TCP proxy that can be cut; and a real nginx.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitUntil } from './shop.mjs';

const CONFIG = new URL('../../../../deploy/nginx/doorbuster.conf', import.meta.url);

/** A WebSocket client that writes its own frames. It answers pings only where it is asked to, and while it reads. */
export class RawSocket {
  static async open(url, answersPings = false) {
    const raw = new RawSocket();
    raw.answersPings = answersPings;
    const { hostname, port } = new URL(url);
    raw.texts = [];
    raw.isClosed = false;
    raw.tcp = connect(Number(port), hostname);
    raw.tcp.on('error', () => {});
    raw.tcp.on('close', () => { raw.isClosed = true; });
    await once(raw.tcp, 'connect');
    raw.tcp.write(
      `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: ${hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    let bytes = Buffer.alloc(0);
    let isOpen = false;
    raw.tcp.on('data', (more) => {
      bytes = Buffer.concat([bytes, more]);
      const head = isOpen ? 0 : bytes.indexOf('\r\n\r\n') + 4;
      if (!isOpen && head < 4) return;
      isOpen = true;
      bytes = raw.#read(bytes.subarray(head));
    });
    await raw.waitForText('0');
    return raw;
  }

  /** Reads whole frames, and returns the rest. */
  #read(bytes) {
    while (bytes.length >= 2) {
      const isLong = (bytes[1] & 0x7f) === 126;
      const from = isLong ? 4 : 2;
      if (bytes.length < from) break;
      const to = from + (isLong ? bytes.readUInt16BE(2) : bytes[1] & 0x7f);
      if (bytes.length < to) break;
      const text = bytes.subarray(from, to).toString();
      this.texts.push(text);
      if (text === '2' && this.answersPings) this.send('3');
      bytes = bytes.subarray(to);
    }
    return bytes;
  }

  waitForText(start) {
    return waitUntil(`a message that begins with ${start}`, () => this.texts.find((text) => text.startsWith(start)));
  }

  /** Sends a text, masked with zeros. */
  send(text) {
    const payload = Buffer.from(text);
    this.tcp.write(Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]));
  }

  /** Connects to the default namespace. */
  async connectNamespace() {
    this.send('40');
    await this.waitForText('40');
  }

  watch(sale) {
    this.send(`42["inventory:watch",{"flashSaleId":"${sale}"}]`);
  }

  /** Stops reading: what the server sends stays in the buffers. */
  stopReading() {
    this.tcp.pause();
  }

  end() {
    this.tcp.destroy();
  }
}

/** A proxy to a server that can cut all connections at once. */
export class TcpProxy {
  static async to(url) {
    const { hostname, port } = new URL(url);
    const proxy = new TcpProxy();
    proxy.pairs = new Set();
    proxy.isDown = false;
    proxy.server = createServer((client) => {
      if (proxy.isDown) {
        client.destroy();
        return;
      }
      const upstream = connect(Number(port), hostname);
      const pair = [client, upstream];
      proxy.pairs.add(pair);
      for (const [from, to] of [pair, [upstream, client]]) {
        from.on('error', () => {});
        from.on('close', () => {
          to.destroy();
          proxy.pairs.delete(pair);
        });
        from.pipe(to);
      }
    });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  /** Ends all connections, and refuses new ones until it is healed. */
  cut() {
    this.isDown = true;
    for (const pair of this.pairs) for (const end of pair) end.destroy();
  }

  heal() {
    this.isDown = false;
  }

  stop() {
    this.cut();
    this.server.close();
  }
}

/** A port that was free a moment ago: a caller retries with another port when it is taken. */
async function findPort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const PORT_TRIES = 5;

/** nginx in its own folder, with the configuration that users get. */
export class Nginx {
  static async before(url) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await Nginx.#start(url);
      } catch (error) {
        if (tries === PORT_TRIES || !/in use/i.test(error.message)) throw error;
      }
    }
  }

  static async #start(url) {
    const nginx = new Nginx();
    nginx.folder = mkdtempSync(join(tmpdir(), 'doorbuster-nginx-'));
    const port = await findPort();
    nginx.url = `http://127.0.0.1:${port}`;
    const site = readFileSync(CONFIG, 'utf8')
      .replace('server 127.0.0.1:8080;', `server ${new URL(url).host};`)
      .replace('listen 80;', `listen 127.0.0.1:${port};`);
    const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`);
    writeFileSync(join(nginx.folder, 'nginx.conf'), [
      'daemon off; master_process off; pid nginx.pid; error_log stderr error;',
      'events { worker_connections 1024; }',
      `http { access_log off; ${folders.join(' ')}`,
      site,
      '}',
    ].join('\n'));
    const args = ['-p', nginx.folder, '-c', 'nginx.conf', '-e', 'stderr'];
    const path = `${process.env.PATH}:/usr/sbin`;
    nginx.child = spawn('nginx', args, { env: { PATH: path }, stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    nginx.child.stderr.on('data', (text) => { log += text; });
    let failure;
    nginx.child.on('error', (error) => { failure = error; });
    nginx.child.on('close', (code) => { failure ??= new Error(`nginx ended with ${code}: ${log}`); });
    await waitUntil('nginx answers', async () => {
      if (failure) throw failure;
      return fetch(`${nginx.url}/livez`).then((reply) => reply.ok, () => false);
    });
    return nginx;
  }

  async stop() {
    const gone = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await gone;
    rmSync(this.folder, { recursive: true });
  }
}
