// Clients that do not read, do not answer, do not leave, or are cut off all the time: what they cost, and how they end.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { io as newest } from 'socket.io-client';
import { Shop, ask, connected, heard, hears, until } from './shop.mjs';
import { Bare, Wire } from './wires.mjs';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const memoryKib = (shop) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${shop.child.pid}/status`, 'utf8'))[1]);

describe('who does not read', () => {
  const DEAF = 20;
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off', '--socket-ping-interval', '4s', '--socket-ping-timeout', '3s'); });
  after(() => shop.stop());

  test('is cut off, costs a bounded piece of memory, and nobody else notices', async () => {
    const sales = await Promise.all(Array.from({ length: 16 }, () => shop.sale({ quantity: 1 })));
    const calm = shop.socket(newest, undefined, { transports: ['websocket'] });
    await connected(calm);
    await ask(calm, 'inventory:watch', { flashSaleId: sales[0] });
    const crowd = await Promise.all(Array.from({ length: DEAF }, () => Bare.open(shop.url)));
    for (const bare of crowd) {
      await bare.enter();
      for (const sale of sales) bare.watch(sale);
    }
    await until('all watch', () => crowd.every((bare) => bare.texts.filter((text) => text.startsWith('42["inventory:update"')).length >= sales.length));
    assert.equal(await shop.metric('sockets_open'), DEAF + 1);

    // Half of them say that they are there without having heard the question; a few take a little now and then.
    const before = memoryKib(shop);
    for (const bare of crowd) bare.deafen();
    const pongs = setInterval(() => crowd.slice(0, DEAF / 2).forEach((bare) => bare.wire.writable && bare.send('3')), 500);
    const sips = setInterval(() => crowd.slice(DEAF / 2, DEAF / 2 + 4).forEach((bare) => bare.wire.read(256)), 250);
    let most = 0;
    let isOver = false;
    const changing = sales.map(async (sale) => {
      while (!isOver) {
        await shop.post(`/admin/flash-sales/${sale}/pause`);
        await shop.post(`/admin/flash-sales/${sale}/resume`);
      }
    });
    try {
      await until('all who do not read are cut', async () => {
        most = Math.max(most, memoryKib(shop));
        await pause(200);
        return (await shop.metric('sockets_open')) === 1;
      }, 60_000);
    } finally {
      isOver = true;
      clearInterval(pongs);
      clearInterval(sips);
      await Promise.all(changing);
    }
    // What waits for one socket: 128 KiB that are written, and 32 packets; the rest is what the changes themselves need.
    assert.ok(most - before < DEAF * 512 + 16_384, `${most - before} KiB more than before`);
    assert.ok(calm.connected);
    await shop.post(`/admin/flash-sales/${sales[0]}/close`);
    await hears(calm, 'sale:status-change', (told) => told.status === 'closed');
    // The connections themselves are gone too, not only what the server calls a socket.
    for (const bare of crowd) bare.wire.resume();
    await until('the connections are closed', () => crowd.every((bare) => bare.isClosed));
  });

  test('or does not answer is dropped after the ping timeout', async () => {
    const [dead, calm] = [await Bare.open(shop.url), shop.socket(newest)];
    const began = Date.now();
    await dead.enter();
    await connected(calm);
    const open = await shop.metric('sockets_open');
    await until('it is cut', () => dead.isClosed);
    const tookMs = Date.now() - began;
    assert.ok(tookMs > 2_500 && tookMs < 8_000, `the first ping comes at once, 3 s to answer, cut after ${tookMs} ms`);
    await until('it is gone', async () => (await shop.metric('sockets_open')) === open - 1);
    assert.ok(calm.connected);
  });

  test('or floods is shown out', async () => {
    const flood = await Bare.open(shop.url);
    await flood.enter();
    for (let n = 0; n < 2_000; n += 1) flood.send(`42${n}["inventory:watch",{}]`);
    await until('it is shown out', () => flood.isClosed || flood.texts.includes('41'));
    flood.end();
  });
});

describe('places', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off', '--sockets-max', '2'); });
  after(() => shop.stop());

  test('who leaves but keeps the connection keeps the place', async () => {
    const staying = [await Bare.open(shop.url), await Bare.open(shop.url)];
    for (const bare of staying) {
      await bare.enter();
      bare.send('41');
    }
    await until('they have left', async () => (await shop.metric('sockets_open')) === 0);
    const options = { transports: ['websocket'], reconnection: false };
    const late = shop.socket(newest, undefined, options);
    const message = await new Promise((done) => late.on('connect_error', (error) => done(error.message)));
    assert.match(message, /^overloaded: /);
    for (const bare of staying) bare.end();
    await until('there is room', async () => {
      const next = shop.socket(newest, undefined, options);
      return Promise.race([new Promise((done) => next.on('connect_error', () => done(false))), connected(next).then(() => true)]);
    });
  });

  test('sockets that open and close at once leave nothing behind', async () => {
    for (const socket of shop.sockets) socket.disconnect();
    for (let round = 0; round < 20; round += 1) {
      await until('there is room', async () => {
        const bare = await Bare.open(shop.url);
        bare.send('40');
        // Now and then before the answer, now and then after it.
        await pause(round % 3);
        bare.end();
        return true;
      });
    }
    await until('all are gone', async () => (await shop.metric('sockets_open')) === 0);
    const two = [await Bare.open(shop.url), await Bare.open(shop.url)];
    await until('both places are free', async () => {
      for (const bare of two) bare.send('40');
      return two.every((bare) => bare.texts.some((text) => text.startsWith('40')));
    });
    for (const bare of two) bare.end();
  });
});

describe('sessions', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off'); });
  after(() => shop.stop());

  test('a session that is ended hears nothing more of its buyer, and other sessions go on', async () => {
    const sale = await shop.sale({ quantity: 5 });
    const ended = await shop.buyer();
    const other = await shop.login(shop.names);
    const options = { transports: ['websocket'], reconnection: false };
    const tabs = [shop.socket(newest, { token: ended }, options), shop.socket(newest, { token: ended }, options)];
    const [phone, stranger] = [shop.socket(newest, { token: other }, options), shop.socket(newest, { token: await shop.buyer() }, options)];
    await Promise.all([...tabs, phone, stranger].map(connected));
    const gone = tabs.map((tab) => new Promise((done) => tab.on('disconnect', done)));
    await shop.post('/auth/logout', {}, ended);
    const order = await shop.post('/orders', { flashSaleId: sale, quantity: 1 }, other);
    await hears(phone, 'order:update', (told) => told.id === order.id);
    for (const [n, tab] of tabs.entries()) {
      assert.equal((await hears(tab, 'session:over')).code, 'unauthorized');
      assert.equal(await gone[n], 'io server disconnect');
      assert.deepEqual(heard(tab, 'order:update'), [], 'not even the first order after that');
    }
    assert.ok(phone.connected && stranger.connected);
    const again = shop.socket(newest, { token: ended }, options);
    const message = await new Promise((done) => again.on('connect_error', (error) => done(error.message)));
    assert.match(message, /^unauthorized: /);
  });

  test('a session that is ended is shown out within a second, also where nothing happens', async () => {
    const token = await shop.buyer();
    const socket = shop.socket(newest, { token }, { reconnection: false });
    await connected(socket);
    const gone = new Promise((done) => socket.on('disconnect', done));
    const began = Date.now();
    await shop.post('/auth/logout', {}, token);
    await gone;
    assert.ok(Date.now() - began < 1_000, `after ${Date.now() - began} ms`);
  });
});

describe('long polling by hand', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off', '--request-timeout', '1s'); });
  after(() => shop.stop());

  const polling = async (auth) => {
    const base = `${shop.url}/socket.io/?EIO=4&transport=polling`;
    const { sid } = JSON.parse((await (await fetch(base)).text()).slice(1));
    const path = `${base}&sid=${sid}`;
    const say = async (text) => assert.equal((await fetch(path, { method: 'POST', body: text })).status, 200);
    const listen = async () => (await (await fetch(path)).text()).split('\u001e');
    await say(`40${JSON.stringify(auth)}`);
    return { path, say, listen };
  };

  test('a poll that comes late, when all places are taken by sums, still tells whose turn it is', async () => {
    const noise = await Promise.all(Array.from({ length: 8 }, () => shop.sale({ quantity: 1 })));
    const sale = await shop.sale({ quantity: 1, admission: { type: 'fifo', perSecond: 1, checkoutSeconds: 60, lineOpensSecondsBefore: 600 } }, 3);
    const token = await shop.buyer();
    const { say, listen } = await polling({ token });
    await shop.post('/queue/join', { flashSaleId: sale }, token);
    await say(noise.map((id) => `42["inventory:watch",{"flashSaleId":"${id}"}]`).join('\u001e'));
    // Nobody polls, and more happens than there is room for.
    for (const action of ['pause', 'resume', 'pause']) {
      for (const id of noise) await shop.post(`/admin/flash-sales/${id}/${action}`);
      await pause(150);
    }
    await until('it is their turn', async () => (await shop.post(`/queue/position?flashSaleId=${sale}`, undefined, token, 'GET')).status === 'admitted');
    assert.ok((await shop.metric('socket_updates_dropped_total')) > 0, 'there was no room');
    const told = [];
    await until('they hear of it', async () => {
      told.push(...await listen());
      return told.some((text) => text.startsWith('42["queue:position-update"') && text.includes('"status":"admitted"'));
    });
  });

  test('who dribbles is not waited for longer than anybody else', async () => {
    const { path } = await polling({});
    const { hostname, port, pathname, search } = new URL(path);
    const wire = connect(Number(port), hostname);
    wire.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 1000\r\n\r\n4`);
    const dribble = setInterval(() => wire.writable && wire.write('2'), 100);
    wire.on('error', () => {});
    let told = '';
    wire.on('data', (bytes) => { told += bytes; });
    const began = Date.now();
    await until('it is told so', () => told.includes('"code":"timeout"'));
    clearInterval(dribble);
    assert.ok(Date.now() - began < 4_000);
    wire.destroy();
  });
});

describe('a bad wire', () => {
  let shop, wire;
  before(async () => {
    shop = await Shop.start('--limits', 'off', '--socket-ping-interval', '2s', '--socket-ping-timeout', '5s');
    wire = await Wire.to(shop.url);
  });
  after(async () => {
    await shop.stop();
    wire.stop();
  });

  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    test(`that is cut every two seconds costs nobody the place (${transports.join(' then ')})`, async () => {
      const sale = await shop.sale({ quantity: 1, admission: { type: 'fifo', perSecond: 1, checkoutSeconds: 60, lineOpensSecondsBefore: 600 } }, 300);
      const ahead = [];
      for (let n = 0; n < 6; n += 1) {
        ahead.push(await shop.buyer());
        await shop.post('/queue/join', { flashSaleId: sale }, ahead[n]);
      }
      const socket = shop.socket(newest, { token: await shop.buyer() }, { transports, url: wire.url });
      // What a page does: it watches anew each time it is connected.
      socket.on('connect', () => socket.emit('inventory:watch', { flashSaleId: sale }, () => {}));
      await connected(socket);
      assert.equal((await ask(socket, 'queue:join', { flashSaleId: sale })).position, 7);
      for (let cuts = 1; cuts <= 4; cuts += 1) {
        await pause(2_000);
        wire.cut();
        await until('it is noticed', () => !socket.connected);
        socket.heard.length = 0;
        // Somebody ahead leaves while nobody can be told.
        await shop.post(`/queue/leave?flashSaleId=${sale}`, undefined, ahead[cuts], 'DELETE');
        wire.mend();
        await connected(socket);
        const place = await hears(socket, 'queue:position-update');
        assert.deepEqual([place.ticket, place.position, place.status], [7, 7 - cuts, 'waiting']);
        assert.equal((await hears(socket, 'inventory:update')).waiting, 7 - cuts);
      }
      await shop.post(`/queue/leave?flashSaleId=${sale}`, undefined, ahead[0], 'DELETE');
      await hears(socket, 'queue:position-update', (told) => told.position === 2);
      // That a poll does not come back is only known when a ping is not answered.
      await until('what was cut is forgotten', async () => (await shop.metric('sockets_open')) === 1);
      socket.disconnect();
      await until('it is gone', async () => (await shop.metric('sockets_open')) === 0);
    });
  }
});

test('what is asked in the very moment of connecting is answered, by hundreds at once', async () => {
  const shop = await Shop.start('--limits', 'off');
  try {
    const sale = await shop.sale({ quantity: 3, payment: 'none' });
    const sockets = Array.from({ length: 200 }, () => shop.socket(newest, undefined, { transports: ['websocket'] }));
    // The client keeps it and sends it together with its first breath.
    const answers = await Promise.all(sockets.map((socket) => ask(socket, 'inventory:watch', { flashSaleId: sale })));
    assert.ok(answers.every((answer) => answer.available === 3));
    await shop.post('/orders', { flashSaleId: sale, quantity: 1 }, await shop.buyer());
    await Promise.all(sockets.map((socket) => hears(socket, 'inventory:update', (told) => told.sold === 1)));
  } finally {
    await shop.stop();
  }
});
