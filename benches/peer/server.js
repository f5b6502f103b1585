// What a team would build instead of Doorbuster, at its smallest: Express on every core, a JWT check, and one Lua script in
// Redis that decides a purchase and keeps the order. `make bench` measures it beside Doorbuster, under the same load.
//   node server.js --port=N --redis=PORT --secret=TEXT --sale=ID:UNITS:LIMIT [--sale=…]
// It is a fair opponent, not a shop: no waiting line, holds, payments, request limits, security headers, metrics or lists.

import cluster from 'node:cluster';
import { createSecretKey, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import express from 'express';
import { Redis } from 'ioredis';
import jwt from 'jsonwebtoken';

const { values: settings } = parseArgs({
  options: {
    port: { type: 'string' },
    redis: { type: 'string' },
    secret: { type: 'string' },
    sale: { type: 'string', multiple: true, default: [] },
  },
});

if (cluster.isPrimary) {
  await primary();
} else {
  worker();
}

/** Puts the sales into Redis, then starts a worker for each core. */
async function primary() {
  const redis = connect();
  const now = Date.now();
  for (const sale of settings.sale) {
    const [id, left, limit] = sale.split(':');
    const times = { startsAt: now - 1000, endsAt: now + 3_600_000 };
    await redis.hset(keys(id)[0], { ...times, left, limit, price: 1999, currency: 'EUR' });
  }
  await redis.quit();
  for (let i = 0; i < availableParallelism(); i += 1) cluster.fork();
  cluster.on('exit', () => process.exit(1));
}

function worker() {
  const redis = connect();
  redis.defineCommand('buy', { numberOfKeys: 4, lua: readFileSync(new URL('buy.lua', import.meta.url), 'utf8') });
  const secret = createSecretKey(Buffer.from(settings.secret));

  const app = express();
  app.disable('x-powered-by');
  // A tag costs a hash of every reply, and nobody asks for an order conditionally.
  app.disable('etag');
  app.post('/api/v1/orders', authenticate(secret), express.json({ limit: '64kb' }), (request, reply, next) =>
    buy(redis, request, reply).catch(next),
  );
  const server = app.listen(Number(settings.port), '127.0.0.1');
  server.keepAliveTimeout = 75_000;
}

/** One connection a worker; commands of one turn of the event loop leave in one write. */
function connect() {
  return new Redis(Number(settings.redis), '127.0.0.1', { enableAutoPipelining: true });
}

function keys(sale) {
  // In braces, so that a Redis Cluster keeps what the script touches together.
  return [`{${sale}}:sale`, `{${sale}}:buyers`, `{${sale}}:orders`, `{${sale}}:keys`];
}

function authenticate(secret) {
  return (request, reply, next) => {
    const [scheme, token] = (request.get('authorization') ?? '').split(' ');
    if (scheme !== 'Bearer') return problem(reply, request, 'unauthorized');
    try {
      request.buyer = jwt.verify(token, secret, { algorithms: ['HS256'] }).sub;
    } catch {
      return problem(reply, request, 'unauthorized');
    }
    next();
  };
}

async function buy(redis, request, reply) {
  const { flashSaleId, quantity = 1 } = request.body ?? {};
  if (typeof flashSaleId !== 'string' || !Number.isInteger(quantity) || quantity < 1) {
    return problem(reply, request, 'invalid_body');
  }
  const key = request.get('idempotency-key') ?? '';
  const [code, id, units, price, currency, at] = await redis.buy(
    ...keys(flashSaleId), request.buyer, quantity, randomUUID(), key,
  );
  if (code !== 'ok') return problem(reply, request, code);
  const moment = new Date(at).toISOString();
  reply.status(201).json({
    id,
    flashSaleId,
    product: PRODUCT,
    status: 'confirmed',
    paymentRequired: false,
    paying: false,
    quantity: units,
    unitPrice: { amount: price, currency },
    total: { amount: price * units, currency },
    createdAt: moment,
    updatedAt: moment,
  });
}

// What each sale of the benchmark sells.
const PRODUCT = { id: randomUUID(), name: 'Lamp', description: 'A lamp.', imageUrl: null };

const REFUSALS = {
  unauthorized: [401, 'Sign in first', 'no valid access token'],
  sale_unknown: [404, 'Unknown sale', 'there is no such sale'],
  invalid_body: [422, 'Invalid fields', 'a sale and a number of units are needed'],
  key_reused: [422, 'Key reused', 'this key stood for another content'],
  not_started: [425, 'Not started', 'the sale has not started'],
  ended: [410, 'Ended', 'the sale is over'],
  sold_out: [409, 'Sold out', 'every unit is sold'],
  limit_reached: [409, 'Limit per buyer reached', 'that would be more units than one buyer may own'],
};

function problem(reply, request, code) {
  const [status, title, detail] = REFUSALS[code];
  const body = { type: `/problems/${code}`, title, status, detail, instance: request.originalUrl, code };
  reply.status(status).type('application/problem+json').send(JSON.stringify(body));
}
