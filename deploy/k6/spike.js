// The rush at the start of an open sale: orders arrive at a rate, whether or not those before them have been answered, and
// every answer is counted by its code.
//   k6 run -e SALE=rush -e TOKENS=tokens.txt -e RATE=500 deploy/k6/spike.js          (all settings are in README.md)

import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Trend } from 'k6/metrics';
import { code, counters, end, findSale, number, registered, registration, request, tokens } from './lib/doorbuster.js';

const RATE = number('RATE', 200);
const RAMP_S = number('RAMP_S', 5);
const HOLD_S = number('HOLD_S', 10);
const QUANTITY = number('QUANTITY', 1);
const BUYERS = number('BUYERS', 50);
const P95_MS = number('P95_MS', 500);
/** Accounts that are made at the same time. */
const BATCH = 10;
/** Requests of the whole run: half the rate while it rises and while it falls. */
const PLANNED = RATE * (RAMP_S + HOLD_S);

export const options = {
  // Accounts are made slowly on purpose.
  setupTimeout: '600s',
  scenarios: {
    rush: {
      executor: 'ramping-arrival-rate',
      startRate: 0,
      timeUnit: '1s',
      preAllocatedVUs: number('VUS', 100),
      maxVUs: number('VUS_MAX', 1000),
      stages: [
        { target: RATE, duration: `${RAMP_S}s` },
        { target: RATE, duration: `${HOLD_S}s` },
        { target: 0, duration: `${RAMP_S}s` },
      ],
    },
  },
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate<0.01'],
    accepted: [`p(95)<${P95_MS}`],
    refused: [`p(95)<${P95_MS}`],
    // Requests that k6 could not send in time: above that, what was measured is k6.
    dropped_iterations: [`count<${Math.ceil(PLANNED / 100) + 1}`],
  },
};

const REFUSALS = [
  'sold_out', 'all_held', 'fewer_left', 'limit_reached', 'not_started', 'ended', 'closed', 'paused', 'not_in_line', 'not_admitted',
  'unauthorized', 'key_reused', 'request_in_flight', 'rate_limited', 'overloaded', 'unavailable', 'not_recorded', 'timeout',
];
const answered = counters('answer', ['confirmed', 'pending', 'no_reply'].concat(REFUSALS));
const acceptedMs = new Trend('accepted', true);
const refusedMs = new Trend('refused', true);

export function setup() {
  const sale = findSale(__ENV.SALE);
  if (sale.admission.type !== 'open') end('this sale has a line; the spike is for an open one (flow.js plays a line)');
  if (sale.status === 'ended' || sale.status === 'closed') end(`the sale is ${sale.status}`);
  const run = Date.now().toString(36);
  const accounts = tokens.length > 0 ? [] : makeAccounts(run);
  const each = PLANNED / (tokens.length || accounts.length);
  if (each > 100) {
    console.warn(
      `each buyer will ask ${Math.round(each)} times, and a server with its usual limits answers 100 in 15 minutes: ` +
        'give more TOKENS, or start it with --limit-buy 1000000/15m',
    );
  }
  return { run, sale: sale.id, accounts };
}

export default function order({ run, sale, accounts }) {
  const n = exec.scenario.iterationInTest;
  const token = tokens.length > 0 ? tokens[n % tokens.length] : accounts[n % accounts.length];
  const body = { flashSaleId: sale, quantity: QUANTITY };
  const { method, url, body: text, params } = request('order', 'POST', '/orders', { token, body, key: `${run}-${n}` });
  const reply = http.request(method, url, text, params);
  const word = code(reply);
  answered(word);
  if (reply.status === 201) acceptedMs.add(reply.timings.duration);
  else if (reply.status >= 400) refusedMs.add(reply.timings.duration);
  check(reply, {
    'an order or a reason': (r) => (r.status === 201 ? word === 'confirmed' || word === 'pending' : REFUSALS.includes(word)),
    '429 and 503 have a Retry-After': (r) => (r.status !== 429 && r.status !== 503) || Number(r.headers['Retry-After']) > 0,
  });
}

export function teardown({ sale }) {
  const { quantity, available, held, sold } = findSale(sale);
  check(null, { 'no unit was sold twice': () => sold + held + available <= quantity });
  console.log(`sold ${sold}, in carts ${held}, left ${available}, of ${quantity}`);
}

function makeAccounts(run) {
  const made = [];
  while (made.length < BUYERS) {
    const count = Math.min(BATCH, BUYERS - made.length);
    const requests = Array.from({ length: count }, (_, i) => registration(run, made.length + i));
    for (const reply of http.batch(requests)) made.push(registered(reply));
  }
  return made;
}
