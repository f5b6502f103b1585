// Saves a sale. Both requests are safe to retry: an edit sets values, and a second creation fails because the slug is taken.

import { type AdminSale, client, type Sale, unwrapReply } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { isTransient, retryTransient } from "../../../lib/retry";
import type { NewSale, SaleEdit } from "./saleDraft";

export async function editSale(id: string, body: SaleEdit): Promise<AdminSale> {
  return retryTransient(() =>
    unwrapReply(client.PATCH("/api/v1/admin/flash-sales/{id}", { params: { path: { id } }, body })),
  );
}

export async function createSale(body: NewSale): Promise<AdminSale | Sale> {
  let isRetry = false;
  return retryTransient(async () => {
    try {
      return await unwrapReply(client.POST("/api/v1/admin/flash-sales", { body }));
    } catch (error) {
      if (isRetry && error instanceof ApiError && error.code === "slug_taken") {
        const known = await unwrapReply(
          client.GET("/api/v1/flash-sales/{id}", {
            params: { path: { id: body.slug ?? "" } },
            cache: "no-store",
          }),
        );
        // The first try created the sale, and its reply was lost.
        if (isSameSale(known, body)) return known;
      }
      isRetry ||= isTransient(error);
      throw error;
    }
  });
}

function isSameSale(sale: Sale, body: NewSale): boolean {
  return (
    sale.product.id === body.productId &&
    sale.quantity === body.quantity &&
    sale.price.amount === body.price.amount &&
    Date.parse(sale.startsAt) === Date.parse(body.startsAt)
  );
}
