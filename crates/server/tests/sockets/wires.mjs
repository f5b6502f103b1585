// What stands between a client and a server, and clients that a library would never be: a bare WebSocket that may stop reading,
// a wire that is cut, and a real nginx.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './shop.mjs';

const CONFIG = new URL('../../../../deploy/nginx/doorbuster.conf', import.meta.url);

/** A WebSocket, written down to its bytes. It answers no ping unless it is told to. */
export class Bare {
  static async open(url) {
    const bare = new Bare();
    const { hostname, port } = new URL(url);
    bare.texts = [];
    bare.isClosed = false;
    bare.wire = connect(Number(port), hostname);
    bare.wire.on('error', () => {});
    bare.wire.on('close', () => { bare.isClosed = true; });
    await once(bare.wire, 'connect');
    bare.wire.write(
      `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: ${hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    let bytes = Buffer.alloc(0);
    let isOpen = false;
    bare.wire.on('data', (more) => {
      bytes = Buffer.concat([bytes, more]);
      const head = isOpen ? 0 : bytes.indexOf('\r\n\r\n') + 4;
      if (!isOpen && head < 4) return;
      isOpen = true;
      bytes = bare.#read(bytes.subarray(head));
    });
    await bare.hears('0');
    return bare;
  }

  /** Takes whole frames off the front. */
  #read(bytes) {
    while (bytes.length >= 2) {
      const isLong = (bytes[1] & 0x7f) === 126;
      const from = isLong ? 4 : 2;
      if (bytes.length < from) break;
      const to = from + (isLong ? bytes.readUInt16BE(2) : bytes[1] & 0x7f);
      if (bytes.length < to) break;
      this.texts.push(bytes.subarray(from, to).toString());
      bytes = bytes.subarray(to);
    }
    return bytes;
  }

  hears(start) {
    return until(`a message that begins with ${start}`, () => this.texts.find((text) => text.startsWith(start)));
  }

  /** Sends a text, masked with zeros. */
  send(text) {
    const payload = Buffer.from(text);
    this.wire.write(Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]));
  }

  /** Enters the namespace. */
  async enter() {
    this.send('40');
    await this.hears('40');
  }

  watch(sale) {
    this.send(`42["inventory:watch",{"flashSaleId":"${sale}"}]`);
  }

  /** Stops reading: what is sent to it stays on its way. */
  deafen() {
    this.wire.pause();
  }

  end() {
    this.wire.destroy();
  }
}

/** A wire to a server that can be cut for everyone at once. */
export class Wire {
  static async to(url) {
    const { hostname, port } = new URL(url);
    const wire = new Wire();
    wire.pairs = new Set();
    wire.isDown = false;
    wire.server = createServer((near) => {
      if (wire.isDown) {
        near.destroy();
        return;
      }
      const far = connect(Number(port), hostname);
      const pair = [near, far];
      wire.pairs.add(pair);
      for (const [from, to] of [pair, [far, near]]) {
        from.on('error', () => {});
        from.on('close', () => {
          to.destroy();
          wire.pairs.delete(pair);
        });
        from.pipe(to);
      }
    });
    wire.server.listen(0, '127.0.0.1');
    await once(wire.server, 'listening');
    wire.url = `http://127.0.0.1:${wire.server.address().port}`;
    return wire;
  }

  /** Ends all connections, and lets nobody through until it is mended. */
  cut() {
    this.isDown = true;
    for (const pair of this.pairs) for (const end of pair) end.destroy();
  }

  mend() {
    this.isDown = false;
  }

  stop() {
    this.cut();
    this.server.close();
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** nginx in a folder of its own, with the configuration that we give to users. */
export class Nginx {
  static async before(url) {
    const nginx = new Nginx();
    nginx.folder = mkdtempSync(join(tmpdir(), 'doorbuster-nginx-'));
    const port = await freePort();
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
    nginx.child = spawn('nginx', args, { env: { PATH: path }, stdio: ['ignore', 'ignore', 'inherit'] });
    let failure;
    nginx.child.on('error', (error) => { failure = error; });
    nginx.child.on('exit', (code) => { failure ??= new Error(`nginx ended with ${code}`); });
    await until('nginx answers', async () => {
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
