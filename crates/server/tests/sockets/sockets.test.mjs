// Live updates as clients see them: real buyers, the real binary, the newest Socket.IO client and the first that speaks its protocol.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { io as newest } from 'socket.io-client';
import first from 'socket.io-client-first';
import { Shop, request, connected, receivedEvents, waitForEvent, waitUntil } from './shop.mjs';

const FIFO = { type: 'fifo', perSecond: 1, checkoutSeconds: 60 };

for (const [name, io] of [['newest 4.x', newest], ['4.0.0', first.io]]) {
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    describe(`client ${name} by ${transports.join(' then ')}`, () => everywhere(io, { transports }));
  }
}

/** What holds for every client by every way. */
function everywhere(io, options) {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off'); });
  after(() => shop.stop());

  test('a watcher without an account receives the state of a sale and its changes', async () => {
    const sale = await shop.sale({ quantity: 3, payment: 'none' });
    const watcher = shop.socket(io, undefined, options);
    await connected(watcher);
    const answer = await request(watcher, 'inventory:watch', { flashSaleId: sale });
    assert.equal(answer.available, 3);
    assert.equal(answer.status, 'active');
    await waitForEvent(watcher, 'inventory:update', (update) => update.available === 3);
    await shop.post('/orders', { flashSaleId: sale, quantity: 1 }, await shop.buyer());
    const update = await waitForEvent(watcher, 'inventory:update', (update) => update.sold === 1);
    assert.deepEqual([update.available, update.held, update.availability], [2, 0, 'available']);
    assert.equal(update.flashSaleId, sale);
    const refused = await request(watcher, 'queue:join', { flashSaleId: sale });
    assert.deepEqual([refused.code, refused.status], ['unauthorized', 401]);
    assert.equal(receivedEvents(watcher, 'order:update').length, 0, 'a watcher receives no orders');
  });

  test('a buyer joins, is admitted, buys and leaves, and two tabs agree', async () => {
    const sale = await shop.sale({ quantity: 2, admission: FIFO, holdSeconds: 60 });
    const token = await shop.buyer();
    const [one, two] = [shop.socket(io, { token }, options), shop.socket(io, { token }, options)];
    await Promise.all([connected(one), connected(two)]);
    const place = await request(one, 'queue:join', { flashSaleId: sale });
    assert.equal(place.ticket, 1);
    assert.equal(typeof place.receipt, 'string');
    assert.equal(typeof place.version, 'number');
    const again = await request(two, 'queue:join', { flashSaleId: sale });
    assert.equal(again.ticket, 1, 'the second tab has the same place');
    for (const tab of [one, two]) {
      const admitted = await waitForEvent(tab, 'queue:position-update', (update) => update.status === 'admitted');
      assert.equal(admitted.ticket, 1);
      assert.match(admitted.admittedUntil, /Z$/);
    }
    const order = await shop.post('/orders', { flashSaleId: sale, quantity: 1 }, token);
    for (const tab of [one, two]) {
      const held = await waitForEvent(tab, 'order:update', (update) => update.status === 'pending');
      assert.deepEqual([held.id, held.flashSaleId], [order.id, sale]);
      assert.equal(held.expiresAt, order.expiresAt);
    }
    await shop.post(`/orders/${order.id}/pay`, { method: 'sandbox:approve' }, token);
    for (const tab of [one, two]) await waitForEvent(tab, 'order:update', (update) => update.status === 'confirmed');
    assert.equal((await request(one, 'queue:leave', { flashSaleId: sale })).code, 'not_in_line');
  });
}

describe('the line', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off'); });
  after(() => shop.stop());

  test('a client that reads the feed is sent the turn, and not the way to it', async () => {
    const sale = await shop.sale({ quantity: 1, admission: { ...FIFO, checkoutSeconds: 600 }, holdSeconds: 60 });
    const tokens = await Promise.all(Array.from({ length: 4 }, () => shop.buyer()));
    const places = [];
    for (const token of tokens) places.push(await shop.post('/queue/join', { flashSaleId: sale }, token));
    const [pages, others] = [{ positions: false }, {}].map((options) => tokens.map((token) => shop.socket(newest, { token, ...options }, { transports: ['websocket'] })));
    await Promise.all([...pages, ...others].map(connected));
    for (const socket of [...pages, ...others]) await request(socket, 'inventory:watch', { flashSaleId: sale });
    await waitForEvent(others[3], 'queue:position-update', (update) => update.position === 3);
    await shop.post(`/queue/leave?flashSaleId=${sale}`, undefined, tokens[1], 'DELETE');
    await waitForEvent(others[3], 'queue:position-update', (update) => update.position === 2);
    await shop.post(`/queue/leave?flashSaleId=${sale}`, undefined, tokens[0], 'DELETE');
    await waitForEvent(pages[2], 'queue:position-update', (update) => update.status === 'admitted');
    await waitForEvent(others[3], 'queue:position-update', (update) => update.position === 1);
    const sent = receivedEvents(pages[3], 'queue:position-update').map(({ status, position }) => `${status} ${position}`);
    assert.deepEqual([...new Set(sent)], ['waiting 3'], 'the place that it had when it connected, and none later');
    const hasMoved = async () => {
      const { line } = await (await fetch(`${shop.url}/api/v1/flash-sales/${sale}/line-feed`)).json();
      return line.serving === places[2].ticket && line.waiting === 1;
    };
    await waitUntil('the feed has it', hasMoved);
  });

  test('positions are exact, never go backwards, and come once a second at most', async () => {
    const sale = await shop.sale({ quantity: 50, admission: FIFO, holdSeconds: 60 });
    const tokens = await Promise.all(Array.from({ length: 8 }, () => shop.buyer()));
    const sockets = [];
    for (const token of tokens) {
      const socket = shop.socket(newest, { token }, { transports: ['websocket'] });
      await connected(socket);
      socket.place = await request(socket, 'queue:join', { flashSaleId: sale });
      sockets.push(socket);
    }
    assert.deepEqual(sockets.map((socket) => socket.place.ticket), [1, 2, 3, 4, 5, 6, 7, 8]);
    await shop.post(`/queue/leave?flashSaleId=${sale}`, undefined, tokens[5], 'DELETE');
    await waitForEvent(sockets[5], 'queue:position-update', (update) => update.status === 'left');
    for (const [n, socket] of sockets.entries()) {
      if (n !== 5) await waitForEvent(socket, 'queue:position-update', (update) => update.status === 'admitted');
    }
    for (const socket of sockets) {
      const messages = socket.received.filter((note) => note.event === 'queue:position-update');
      const waiting = messages.filter((note) => note.document.status === 'waiting');
      for (let at = 1; at < waiting.length; at += 1) {
        const [before, now] = [waiting[at - 1], waiting[at]];
        assert.ok(now.document.position < before.document.position, 'a position only falls');
        // Times of receiving: a busy client receives one late and the next in time.
        assert.ok(now.at - before.at > 500, 'at most one a second');
      }
      for (let at = 1; at < messages.length; at += 1) {
        assert.ok(messages[at].document.version >= messages[at - 1].document.version, 'versions never go back');
      }
      for (const { document } of waiting) assert.equal(document.ahead, document.position - 1);
    }
    // The last one had seven ahead, one left: the positions sent are those of the ledger.
    const { items } = await shop.post(`/admin/flash-sales/${sale}/events?limit=200`, undefined, shop.admin, 'GET');
    assert.ok(items.length > 16);
    for (const socket of sockets) {
      for (const update of receivedEvents(socket, 'queue:position-update').filter((update) => update.status === 'waiting')) {
        const at = (version) => {
          const waits = new Set();
          for (const event of [...items].sort((a, b) => a.seq - b.seq).filter((event) => event.seq <= version)) {
            if (event.kind === 'joined') waits.add(event.ticket);
            if (event.kind === 'admitted' || event.kind === 'left') waits.delete(event.ticket);
          }
          return [...waits].filter((ticket) => ticket <= update.ticket).length;
        };
        // A requested state may be one batch newer than its version says, never older.
        const exact = items.map((event) => event.seq).filter((seq) => seq >= update.version).map(at);
        assert.ok(exact.includes(update.position), `${JSON.stringify(update)} is no position of the ledger`);
      }
    }
  });

  test('changes in another tab or over HTTP are received', async () => {
    const sale = await shop.sale({ quantity: 1, admission: FIFO }, 60);
    const opened = await shop.sale({ quantity: 1, admission: { ...FIFO, lineOpensSecondsBefore: 600 } }, 60);
    const token = await shop.buyer();
    const socket = shop.socket(newest, { token });
    await connected(socket);
    assert.equal((await request(socket, 'queue:join', { flashSaleId: sale })).code, 'not_started');
    await shop.post('/queue/join', { flashSaleId: opened }, token);
    await waitForEvent(socket, 'queue:position-update', (update) => update.flashSaleId === opened && update.position === 1);
    await shop.post(`/queue/leave?flashSaleId=${opened}`, undefined, token, 'DELETE');
    await waitForEvent(socket, 'queue:position-update', (update) => update.flashSaleId === opened && update.status === 'left');
  });
});

describe('a place that ends', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off'); });
  after(() => shop.stop());

  /** Two buyers in the line of one unit: the first is admitted, the second waits. */
  async function waitingBuyers(openSale) {
    const tokens = [await shop.buyer(), await shop.buyer()];
    const opened = tokens.map((token) => shop.socket(newest, { token }));
    await Promise.all(opened.map(connected));
    const sale = await openSale();
    const sockets = [];
    for (const socket of opened) {
      await request(socket, 'queue:join', { flashSaleId: sale });
      if (sockets.length === 0) await waitForEvent(socket, 'queue:position-update', (update) => update.status === 'admitted');
      sockets.push(socket);
    }
    return { sale, tokens, sockets };
  }

  const isOver = (reason) => (update) => update.status === 'over' && update.reason === reason;

  async function expectOver(openSale, reason, end) {
    const { sale, tokens, sockets } = await waitingBuyers(openSale);
    await end(sale);
    const last = await waitForEvent(sockets[1], 'queue:position-update', isOver(reason));
    assert.deepEqual([last.ticket, last.position, last.ahead, last.estimatedWaitSeconds], [2, 0, 0, null]);
    const counters = await waitForEvent(sockets[1], 'inventory:update', (update) => update.availability === 'over');
    assert.equal(counters.waiting, 0);
    const later = shop.socket(newest, { token: tokens[1] });
    await connected(later);
    await waitForEvent(later, 'queue:position-update', isOver(reason));
    const statuses = receivedEvents(sockets[0], 'queue:position-update').map((update) => update.status);
    assert.ok(!statuses.includes('over'), 'a turn outlives the sale');
  }

  test('at the end of the sale is told at once, and to who reconnects', async () => {
    await expectOver(() => shop.sale({ quantity: 1, admission: FIFO }, -1, 10), 'ended', () => {});
  });

  test('when the sale is closed is told at once, and to who reconnects', async () => {
    const close = (sale) => shop.post(`/admin/flash-sales/${sale}/close`, {});
    await expectOver(() => shop.sale({ quantity: 1, admission: FIFO }), 'closed', close);
  });

  test('by a turn that passes, or by leaving, is told with its moment, and to who reconnects', async () => {
    const before = Date.now();
    const openSale = () => shop.sale({ quantity: 1, admission: { ...FIFO, checkoutSeconds: 1 } });
    const { sale, tokens, sockets } = await waitingBuyers(openSale);
    const lapsed = await waitForEvent(sockets[0], 'queue:position-update', (update) => update.status === 'lapsed');
    assert.ok(Date.parse(lapsed.lapsedAt) >= before && Date.parse(lapsed.lapsedAt) <= Date.now() + 1000, lapsed.lapsedAt);
    const later = shop.socket(newest, { token: tokens[0] });
    await connected(later);
    const again = await waitForEvent(later, 'queue:position-update', (update) => update.status === 'lapsed');
    assert.equal(again.lapsedAt, lapsed.lapsedAt);
    await request(sockets[0], 'queue:join', { flashSaleId: sale });
    await request(sockets[0], 'queue:leave', { flashSaleId: sale });
    const left = await waitForEvent(sockets[0], 'queue:position-update', (update) => update.status === 'left');
    assert.ok(Date.parse(left.leftAt) >= Date.parse(lapsed.lapsedAt));
  });

  test('a pause stops the clock of a turn and takes the estimates away', async () => {
    const openSale = () => shop.sale({ quantity: 2, admission: { ...FIFO, checkoutSeconds: 600 } });
    const { sale, tokens, sockets } = await waitingBuyers(openSale);
    await waitForEvent(sockets[1], 'queue:position-update', (update) => update.status === 'admitted');
    const third = shop.socket(newest, { token: await shop.buyer() });
    await connected(third);
    await shop.post(`/admin/flash-sales/${sale}/restock`, { quantity: 5 });
    await shop.post(`/admin/flash-sales/${sale}/pause`, {});
    const frozen = await waitForEvent(sockets[0], 'queue:position-update', (update) => update.remainingSeconds !== undefined);
    assert.deepEqual([frozen.status, frozen.admittedUntil], ['admitted', undefined]);
    assert.ok(frozen.remainingSeconds > 500 && frozen.remainingSeconds <= 600);
    assert.equal((await request(third, 'queue:join', { flashSaleId: sale })).estimatedWaitSeconds, null);
    const tab = shop.socket(newest, { token: tokens[0] });
    await connected(tab);
    await waitForEvent(tab, 'queue:position-update', (update) => update.remainingSeconds === frozen.remainingSeconds);
    await shop.post(`/admin/flash-sales/${sale}/resume`, {});
    await waitForEvent(tab, 'queue:position-update', (update) => update.remainingSeconds === undefined && update.admittedUntil);
  });
});

describe('an admission', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off'); });
  after(() => shop.stop());

  test('an extension is received in every tab, also in a later one, and a pause is added to it', async () => {
    const sale = await shop.sale({ quantity: 1, admission: { ...FIFO, extensionSeconds: 300 } });
    const token = await shop.buyer();
    const socket = shop.socket(newest, { token });
    await connected(socket);
    await request(socket, 'queue:join', { flashSaleId: sale });
    const admitted = await waitForEvent(socket, 'queue:position-update', (update) => update.status === 'admitted');
    assert.equal(admitted.extensionSeconds, 300);
    const place = await shop.post('/queue/extend', { flashSaleId: sale }, token);
    const later = Date.parse(admitted.admittedUntil) + 300_000;
    assert.equal(Date.parse(place.admittedUntil), later);
    const isLater = (update) => Date.parse(update.admittedUntil) === later;
    const update = await waitForEvent(socket, 'queue:position-update', isLater);
    assert.deepEqual([update.status, update.extensionSeconds], ['admitted', undefined]);
    assert.ok(update.version > admitted.version);
    const second = shop.socket(newest, { token });
    await connected(second);
    assert.equal((await waitForEvent(second, 'queue:position-update', isLater)).extensionSeconds, undefined);
    await shop.post(`/admin/flash-sales/${sale}/pause`, {}, shop.admin);
    await shop.post(`/admin/flash-sales/${sale}/resume`, {}, shop.admin);
    await waitForEvent(socket, 'queue:position-update', (update) => Date.parse(update.admittedUntil) > later);
  });
});

describe('a sale', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off'); });
  after(() => shop.stop());

  test('changes its status by time alone and by its merchant', async () => {
    const watcher = shop.socket(newest);
    await connected(watcher);
    const sale = await shop.sale({ quantity: 5 }, 4, 6);
    await request(watcher, 'inventory:watch', { flashSaleId: sale });
    await waitForEvent(watcher, 'sale:status-change', (update) => update.status === 'ended');
    assert.deepEqual(receivedEvents(watcher, 'sale:status-change').map((update) => update.status), ['upcoming', 'active', 'ended']);

    const other = await shop.sale({ quantity: 5 });
    await request(watcher, 'inventory:watch', { flashSaleId: other });
    for (const [action, status] of [['pause', 'paused'], ['resume', 'active'], ['close', 'closed']]) {
      await shop.post(`/admin/flash-sales/${other}/${action}`);
      await waitForEvent(watcher, 'sale:status-change', (update) => update.flashSaleId === other && update.status === status);
    }
  });

  test('fifty tabs are accepted, the next one is refused with a code, and a closed one frees a socket', async () => {
    const refused = (socket) => new Promise((done) => socket.on('connect_error', (error) => done(error.message)));
    const quiet = await shop.sale({ quantity: 5 });
    const token = await shop.buyer();
    const tabs = Array.from({ length: 50 }, () => shop.socket(newest, { token }, { transports: ['websocket'] }));
    await Promise.all(tabs.map(connected));
    const message = await refused(shop.socket(newest, { token }, { transports: ['websocket'], reconnection: false }));
    assert.match(message, /^too_many_tabs: .*50/);
    const answers = await Promise.all(tabs.map((tab) => request(tab, 'inventory:watch', { flashSaleId: quiet })));
    assert.ok(answers.every((answer) => answer.available === 5), 'open sockets go on');
    tabs[0].disconnect();
    await waitUntil('there is a free socket', async () => {
      const late = shop.socket(newest, { token }, { transports: ['websocket'], reconnection: false });
      return Promise.race([refused(late).then(() => false), connected(late).then(() => true)]);
    });
  });

  test('a rush is merged to five updates a second, the last one is sent, and versions never go back', async () => {
    const sale = await shop.sale({ quantity: 40, payment: 'none' });
    const watcher = shop.socket(newest, undefined, { transports: ['websocket'] });
    await connected(watcher);
    await request(watcher, 'inventory:watch', { flashSaleId: sale });
    const tokens = await Promise.all(Array.from({ length: 40 }, () => shop.buyer()));
    await Promise.all(tokens.map((token) => shop.post('/orders', { flashSaleId: sale, quantity: 1 }, token)));
    const end = await waitForEvent(watcher, 'inventory:update', (update) => update.sold === 40);
    assert.equal(end.availability, 'sold_out');
    const messages = watcher.received.filter((note) => note.event === 'inventory:update');
    for (let at = 1; at < messages.length; at += 1) {
      assert.ok(messages[at].document.version >= messages[at - 1].document.version, 'versions never go back');
    }
    for (const note of messages) {
      const second = messages.filter((other) => other.at >= note.at && other.at < note.at + 1000);
      assert.ok(second.length <= 7, `${second.length} updates in a second`);
    }
  });
});

describe('invalid requests and sessions', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off', '--token-ttl', '6s'); });
  after(() => shop.stop());

  const refused = (socket) => new Promise((done) => socket.on('connect_error', (error) => done(error.message)));

  test('a bad token, a token of a wrong kind and a broken payload are refused with a code', async () => {
    for (const [auth, code] of [[{ token: 'nonsense' }, 'unauthorized'], [{ token: 7 }, 'bad_request'], [{ token: {} }, 'bad_request']]) {
      const message = await refused(shop.socket(newest, auth));
      assert.ok(message.startsWith(`${code}: `), message);
    }
  });

  test('an invalid message gets a problem as its reply, and the socket stays open', async () => {
    const socket = shop.socket(newest, undefined, { transports: ['websocket'] });
    await connected(socket);
    for (const data of [[], [null], [7], ['x'], [{}], [{ flashSaleId: 7 }], [{ flashSaleId: 'x' }], [{ flashSaleId: {} }], [[1, 2]]]) {
      const answer = await request(socket, 'inventory:watch', ...data);
      assert.equal(answer.code, 'bad_request', JSON.stringify(data));
    }
    const unknown = await request(socket, 'inventory:watch', { flashSaleId: '01890a5d-ac96-774b-bcce-b302099a8057' });
    assert.deepEqual([unknown.code, unknown.status], ['sale_unknown', 404]);
    assert.ok(unknown.title && unknown.detail);
    socket.emit('no:such-event', 1);
    socket.emit('inventory:watch', { flashSaleId: 'no ack wanted' });
    await waitUntil('requests reach the limit', async () => (await request(socket, 'inventory:watch', {})).code === 'rate_limited');
    assert.ok(socket.connected);
  });

  test('a message that is too large ends its own socket only', async () => {
    const [large, calm] = [shop.socket(newest, undefined, { transports: ['websocket'], reconnection: false }), shop.socket(newest)];
    await Promise.all([connected(large), connected(calm)]);
    large.emit('inventory:watch', { flashSaleId: 'x'.repeat(100_000) });
    await waitUntil('it is disconnected', () => !large.connected);
    assert.ok(calm.connected);
  });

  test('a token that expires ends its session with session:over', async () => {
    const token = await shop.buyer();
    const socket = shop.socket(newest, { token }, { reconnection: false });
    await connected(socket);
    const gone = new Promise((done) => socket.on('disconnect', done));
    assert.equal((await waitForEvent(socket, 'session:over')).code, 'unauthorized');
    assert.equal(await gone, 'io server disconnect');
    const message = await refused(shop.socket(newest, { token }, { reconnection: false }));
    assert.ok(message.startsWith('unauthorized: '), message);
  });
});

describe('a server that ends', () => {
  let shop;
  before(async () => { shop = await Shop.start('--limits', 'off', '--drain-timeout', '60s'); });
  after(() => shop.stop());

  test('after kill -9 and a restart every client is back with the same place and the current state', async () => {
    const sale = await shop.sale({ quantity: 1, admission: { ...FIFO, lineOpensSecondsBefore: 600 } }, 300);
    const sockets = [];
    for (let n = 1; n <= 3; n += 1) {
      const socket = shop.socket(newest, { token: await shop.buyer() });
      await connected(socket);
      assert.equal((await request(socket, 'queue:join', { flashSaleId: sale })).position, n);
      sockets.push(socket);
    }
    await shop.end('SIGKILL');
    await waitUntil('all are disconnected', () => sockets.every((socket) => !socket.connected));
    for (const socket of sockets) socket.received.length = 0;
    await shop.restart();
    for (const [n, socket] of sockets.entries()) {
      await connected(socket);
      const update = await waitForEvent(socket, 'queue:position-update');
      assert.deepEqual([update.ticket, update.position], [n + 1, n + 1]);
    }
    await request(sockets[0], 'queue:leave', { flashSaleId: sale });
    await waitForEvent(sockets[2], 'queue:position-update', (update) => update.position === 2);
  });

  test('SIGTERM says when to come back, closes the sockets at once, and they come back', async () => {
    const sockets = [['websocket'], ['polling']].map((transports) => shop.socket(newest, undefined, { transports }));
    await Promise.all(sockets.map(connected));
    await waitUntil('they are counted', async () => (await shop.metric('sockets_open')) >= 2);
    const started = Date.now();
    assert.equal(await shop.end('SIGTERM'), 0);
    assert.ok(Date.now() - started < 30_000, 'the drain timeout of 60 s is not waited for');
    assert.ok((await waitForEvent(sockets[0], 'server:restart')).retryAfterMs > 0);
    await shop.restart();
    await Promise.all(sockets.map(connected));
  });
});

test('a trusted proxy names the address, and each address has its limit', async () => {
  const shop = await Shop.start('--trusted-proxies', '127.0.0.1', '--sockets-per-address', '2', '--sockets-max', '4');
  try {
    const from = (address) => shop.socket(newest, undefined, { transports: ['polling'], reconnection: false, extraHeaders: { 'x-forwarded-for': address } });
    const error = (socket) => new Promise((done) => socket.on('connect_error', (error) => done(error.message)));
    await Promise.all([from('203.0.113.7'), from('203.0.113.7'), from('203.0.113.8')].map(connected));
    assert.match(await error(from('203.0.113.7')), /^too_many_sockets: /);
    await connected(from('203.0.113.9'));
    assert.match(await error(from('203.0.113.10')), /^overloaded: /);
  } finally {
    await shop.stop();
  }
});

test('pages of other sites may connect when they are allowed, and only then', async () => {
  const shop = await Shop.start('--cors-origins', 'https://shop.example');
  try {
    const connectFrom = (origin) => fetch(`${shop.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin } });
    const [friend, stranger] = [await connectFrom('https://shop.example'), await connectFrom('https://evil.example')];
    assert.equal(friend.status, 200);
    assert.equal(friend.headers.get('access-control-allow-origin'), 'https://shop.example');
    assert.equal(stranger.headers.get('access-control-allow-origin'), null);
  } finally {
    await shop.stop();
  }
});
