// Sending a sale. Both may be sent again when no reply came: an edit says how things shall be, and a new sale has a name that only
// one can have.

import type { components } from "../../../api/schema";
import { client, type Sale, unwrapReply } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { isTransient, retryTransient } from "../../../lib/retry";
import type { AdminSale } from "../../lib/queries";

type NewSale = components["schemas"]["NewSale"];
type SaleEdit = components["schemas"]["SaleEdit"];

export async function editSale(id: string, body: SaleEdit): Promise<AdminSale> {
  return retryTransient(() =>
    unwrapReply(client.PATCH("/api/v1/admin/flash-sales/{id}", { params: { path: { id } }, body })),
  );
}

export async function makeSale(body: NewSale): Promise<AdminSale | Sale> {
  let isRepeated = false;
  return retryTransient(async () => {
    try {
      return await unwrapReply(client.POST("/api/v1/admin/flash-sales", { body }));
    } catch (error) {
      if (isRepeated && error instanceof ApiError && error.code === "slug_taken") {
        const known = await unwrapReply(
          client.GET("/api/v1/flash-sales/{id}", {
            params: { path: { id: body.slug ?? "" } },
            cache: "no-store",
          }),
        );
        // The first try has made it, and only its reply got lost.
        if (isThis(known, body)) return known;
      }
      isRepeated ||= isTransient(error);
      throw error;
    }
  });
}

function isThis(sale: Sale, body: NewSale): boolean {
  return (
    sale.product.id === body.productId &&
    sale.quantity === body.quantity &&
    sale.price.amount === body.price.amount &&
    Date.parse(sale.startsAt) === Date.parse(body.startsAt)
  );
}
