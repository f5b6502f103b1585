// The calls of the dialect `holds` that the load script makes, in memory: a line, some holds at a time, and units. It answers as the
// dialect's contract says, and remembers what it was asked.

import { once } from 'node:events';
import { createServer } from 'node:http';

export class HoldsServer {
  static async start({ units, holds }) {
    const shop = Object.assign(new HoldsServer(), { units, holds, line: [], holders: new Set(), orders: new Map(), faults: [], calls: 0 });
    shop.server = createServer(async (incoming, reply) => {
      let text = '';
      for await (const piece of incoming) text += piece;
      const { status, body, headers } = shop.answer(incoming.method, new URL(incoming.url, 'http://x'), text ? JSON.parse(text) : {});
      reply.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    });
    shop.server.listen(0, '127.0.0.1');
    await once(shop.server, 'listening');
    shop.url = `http://127.0.0.1:${shop.server.address().port}`;
    return shop;
  }

  async stop() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  answer(method, url, body) {
    this.calls += 1;
    // Now and then it is busy: the same call again is answered.
    if (this.calls % 7 === 0) return { status: 503, headers: { 'retry-after': '0.01' }, body: { statusCode: 503, error: 'Service Unavailable', message: 'try again' } };
    const left = this.units - this.orders.size;
    const refuse = (status, message) => ({ status, body: { statusCode: status, error: 'Conflict', message, code: 'x' } });
    const ok = (more) => ({ status: 200, body: more });
    switch (`${method} ${url.pathname}`) {
      case 'GET /flash-sales/sale-1/public':
        return ok({ _id: 'sale-1', initialQuantity: this.units, currentQuantity: left });
      case 'POST /orders/buy':
        if (body.flashSaleId !== 'sale-1' || !/^[^@\s]+@example\.com$/.test(body.email)) this.faults.push(body);
        if (this.orders.has(body.email)) return refuse(409, 'you have already purchased this');
        if (left === 0) return refuse(409, 'Sold out');
        if (!this.line.includes(body.email) && !this.holders.has(body.email)) this.line.push(body.email);
        return ok({ queued: true, position: Math.max(1, this.line.indexOf(body.email) + 1) });
      case 'GET /orders/position': {
        this.admit();
        const email = url.searchParams.get('email');
        const status = this.holders.has(email) ? 'ready' : this.line.includes(email) ? 'queued' : 'none';
        return ok({ status, position: 1 });
      }
      case 'POST /orders/confirm':
        if (!this.orders.has(body.email)) {
          if (!this.holders.delete(body.email)) return refuse(410, 'your hold has expired');
          this.orders.set(body.email, `order-${this.orders.size}`);
        }
        return ok({ ok: true, orderId: this.orders.get(body.email), inventoryLeft: this.units - this.orders.size });
      default:
        this.faults.push(`${method} ${url.pathname}`);
        return refuse(404, 'there is nothing here');
    }
  }

  /** Gives holds in order, as long as there are units; without one the line is over. */
  admit() {
    while (this.line.length > 0 && this.holders.size < this.holds && this.orders.size + this.holders.size < this.units) {
      this.holders.add(this.line.shift());
    }
    if (this.orders.size === this.units) this.line = [];
  }
}
