// A purchase through the client that was generated for TypeScript. SHOP is the address of a server with a demo sale without a line.

import { client } from "./client/client.gen.js";
import { createOrder, getFlashSale, payOrder, registerAccount } from "./client/sdk.gen.js";

const [shop, slug] = process.argv.slice(2);
if (!shop || !slug) throw new Error("buy SHOP SLUG");
client.setConfig({ baseUrl: shop });

const account = await registerAccount({
  body: { email: "typed@example.com", username: "typed", password: "correct horse battery" },
  throwOnError: true,
});
client.setConfig({ auth: () => account.data.accessToken });
const sale = await getFlashSale({ path: { id: slug }, throwOnError: true });
const order = await createOrder({
  body: { flashSaleId: sale.data.id, quantity: 1 },
  headers: { "Idempotency-Key": "typed-1" },
  throwOnError: true,
});
const paid = await payOrder({
  path: { id: order.data.id },
  body: { method: "sandbox:approve" },
  throwOnError: true,
});
if (paid.data.status !== "confirmed" || paid.data.product.name !== sale.data.product.name) {
  throw new Error(JSON.stringify(paid.data));
}

// A refusal is typed as well.
const refused = await createOrder({ body: { flashSaleId: sale.data.id, quantity: 2 } });
if (refused.error?.code !== "limit_reached") throw new Error(JSON.stringify(refused.error));
console.log(`TypeScript: ${paid.data.product.name} for ${paid.data.total.amount} ${paid.data.total.currency}`);
