// A receiver of webhooks: verifies each signature with the library of Standard Webhooks, and handles each event once.
//
//   WEBHOOK_SECRET=whsec_… node receiver.mjs
//
// It replies before slow work is done, because Doorbuster waits 15 seconds at most, and it drops repeats: an event may come more than
// once, and always with the same webhook-id.

import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';
import { Webhook } from 'standardwebhooks';

/** Starts a receiver on a free port, or on `port`. `handle` gets each event once. */
export async function startReceiver(secret, handle, port = 0) {
  const webhook = new Webhook(secret);
  // A real receiver keeps them in its database, in the transaction of what it does with the event.
  const seen = new Set();
  const server = createServer(async (request, reply) => {
    const body = await readBody(request);
    let event;
    try {
      // The body as it came: a document that was parsed and written again has another signature.
      event = webhook.verify(body, request.headers);
    } catch {
      reply.writeHead(401).end('the signature is not valid');
      return;
    }
    const id = request.headers['webhook-id'];
    if (!seen.has(id)) {
      seen.add(id);
      handle(event);
    }
    reply.writeHead(204).end();
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  return server;
}

async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const server = await startReceiver(process.env.WEBHOOK_SECRET, (event) => console.log(event.type, event.id), 8090);
  console.log(`Receiving at http://127.0.0.1:${server.address().port}/`);
}
