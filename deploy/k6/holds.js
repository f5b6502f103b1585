// The load of design D on the dialect `holds`: users come in stages, each with an e-mail address of its own; each asks for a unit, looks
// at its place until it has a hold, and confirms.
//   k6 run -e SALE=ID deploy/k6/holds.js          (all settings are in README.md)

import { check, sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Trend } from 'k6/metrics';
import { counters, end, number } from './lib/doorbuster.js';

const SERVER = (__ENV.BASE_URL || 'http://127.0.0.1:4000').replace(/\/+$/, '');
const WAIT_S = number('WAIT_S', 600);
const POLL_S = number('POLL_S', 1);
const P95_MS = number('P95_MS', 500);
/** Users at the same time at the end of each stage: a wave, the crowd, the rush, and the end of it. */
const STAGES = __ENV.STAGES || '30s:100,60s:500,60s:1000,30s:0';
const TRIES_MAX = 10;

export const options = {
  scenarios: {
    buyers: { executor: 'ramping-vus', startVUs: 0, stages: parseStages(STAGES), gracefulRampDown: `${WAIT_S}s` },
  },
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate<0.01'],
    'http_req_duration{name:buy}': [`p(95)<${P95_MS}`],
    'http_req_duration{name:position}': [`p(95)<${P95_MS}`],
    'http_req_duration{name:confirm}': [`p(95)<${P95_MS}`],
    // A run without a purchase has shown nothing.
    buyer_confirmed: ['count>0'],
  },
};

// How a user's day ended.
const ended = counters('buyer', ['confirmed', 'sold_out', 'not_started', 'over', 'no_line', 'expired', 'paused', 'rate_limited', 'gave_up', 'no_reply']);
const holdMs = new Trend('wait_for_hold', true);
const wholeMs = new Trend('whole_purchase', true);

export function setup() {
  const sale = __ENV.SALE;
  if (!sale) end('say which sale: -e SALE=its id');
  const reply = askUntilAnswered('public', 'GET', `/flash-sales/${sale}/public`);
  if (reply.status === 0) end(`no server answers at ${SERVER}: ${reply.error}`);
  if (reply.status !== 200) end(`there is no sale "${sale}" at ${SERVER}: ${reply.status}`);
  // Addresses of this run; the clock makes them unique.
  return { run: Date.now().toString(36), sale };
}

export default function buyer({ run, sale }) {
  const user = { email: `k6-${run}-${exec.scenario.iterationInTest}@example.com`, flashSaleId: sale };
  const began = Date.now();
  const outcome = queue(user, began) || confirm(user);
  if (outcome === 'confirmed') wholeMs.add(Date.now() - began);
  ended(outcome);
  // A user whom the sale has no unit for does not come back at once.
  if (outcome !== 'confirmed') sleep(POLL_S);
}

export function teardown({ sale }) {
  const reply = askUntilAnswered('public', 'GET', `/flash-sales/${sale}/public`);
  if (reply.status !== 200) end(`the sale cannot be read after the run: ${reply.status}`);
  const { quantity, left } = figures(reply.json());
  check(null, { 'no unit was sold twice': () => left >= 0 && left <= quantity });
  console.log(`left ${left} of ${quantity}`);
}

/** Waits for a hold. Returns how the user's day ended, if it did. */
function queue(user, began) {
  const reply = askUntilAnswered('buy', 'POST', '/orders/buy', user);
  if (reply.status !== 200) return refusal(reply);
  check(reply, { 'a place in line': (r) => r.json('queued') === true && r.json('position') >= 1 });
  const query = `flashSaleId=${user.flashSaleId}&email=${encodeURIComponent(user.email)}`;
  while (Date.now() - began < WAIT_S * 1000) {
    const place = askUntilAnswered('position', 'GET', `/orders/position?${query}`);
    if (place.status !== 200) return refusal(place);
    const status = place.json('status');
    check(place, { 'one of three words': () => ['queued', 'ready', 'none'].includes(status) });
    if (status === 'ready') {
      holdMs.add(Date.now() - began);
      return undefined;
    }
    if (status === 'none') return 'sold_out';
    sleep(POLL_S * (0.8 + 0.4 * Math.random()));
  }
  return 'gave_up';
}

function confirm(user) {
  const reply = askUntilAnswered('confirm', 'POST', '/orders/confirm', user);
  if (reply.status !== 200) return refusal(reply);
  check(reply, { 'an order': (r) => r.json('ok') === true && Boolean(r.json('orderId')) });
  const again = askUntilAnswered('confirm again', 'POST', '/orders/confirm', user);
  check(again, { 'the same order': (r) => r.status === 200 && r.json('orderId') === reply.json('orderId') });
  return 'confirmed';
}

/** Why a call was refused, in one word. The dialect's clients search for these parts of messages. */
function refusal(reply) {
  if (reply.status === 0) return 'no_reply';
  if (reply.status === 410) return 'expired';
  if (reply.status === 429) return 'rate_limited';
  const message = String(reply.json('message') || '');
  const words = { 'Sold out': 'sold_out', 'not started': 'not_started', paused: 'paused', ended: 'over', line: 'no_line' };
  const known = Object.keys(words).find((part) => message.includes(part));
  check(reply, { 'a reason': () => known !== undefined });
  return known ? words[known] : 'other';
}

function ask(name, method, path, body) {
  const params = { headers: body ? { 'Content-Type': 'application/json' } : {}, tags: { name }, timeout: '40s' };
  return http.request(method, SERVER + path, body ? JSON.stringify(body) : null, params);
}

/** Repeats what was not answered for good, after the time that the server asks for: the same call never buys twice. */
function askUntilAnswered(name, method, path, body) {
  let reply = ask(name, method, path, body);
  for (let tries = 1; tries < TRIES_MAX && [0, 429, 503, 504].includes(reply.status); tries += 1) {
    const asked = Number(reply.headers['Retry-After']);
    sleep(asked > 0 ? Math.min(asked, 30) : 1);
    reply = ask(name, method, path, body);
  }
  return reply;
}

function figures(sale) {
  return { quantity: sale.initialQuantity, left: sale.currentQuantity };
}

function parseStages(text) {
  return text.split(',').map((stage) => {
    const [, duration, target] = /^\s*(\d+s):(\d+)\s*$/.exec(stage) || [];
    if (!duration) throw new Error(`STAGES is a list such as 30s:100,60s:0, not "${text}"`);
    return { duration, target: Number(target) };
  });
}
