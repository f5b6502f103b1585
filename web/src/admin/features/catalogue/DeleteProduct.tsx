// Deleting a product, which asks first. One that is on sale stays, and the merchant is told why.

import { useQueryClient } from "@tanstack/react-query";
import { client, unwrapReply } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { retryTransient } from "../../../lib/retry";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { Dialog } from "../../components/Dialog";
import { Why } from "../../components/Why";
import { adminKeys, type Product } from "../../lib/queries";
import { t } from "../../lib/texts";

interface Props {
  product: Product;
  onDone: () => void;
  onCancel: () => void;
}

export function DeleteProduct({ product, onDone, onCancel }: Props) {
  const queries = useQueryClient();
  const remove = useSubmitOnce({
    mutationFn: () => retryTransient(() => deleteProduct(product.id)),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: adminKeys.products });
      onDone();
    },
  });
  return (
    <Dialog
      title={t("product.delete_title", { name: product.name })}
      yes={t("product.delete_yes")}
      isPending={remove.isPending}
      onYes={() => remove.submit()}
      onCancel={onCancel}
    >
      <p>{t("product.delete_text")}</p>
      <Why error={remove.error} />
    </Dialog>
  );
}

async function deleteProduct(id: string): Promise<void> {
  const reply = await client.DELETE("/api/v1/admin/products/{id}", { params: { path: { id } } });
  if (reply.response.status === 204) return;
  await unwrapReply(Promise.resolve(reply)).catch((error: unknown) => {
    // An earlier try, whose reply got lost, has done it.
    if (!(error instanceof ApiError && error.code === "product_unknown")) throw error;
  });
}
