// Deletes a product after a confirmation. The server refuses to delete a product of a sale that is not over.

import { useQueryClient } from "@tanstack/react-query";
import { client, type Product, unwrapReply } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { isolateText } from "../../../lib/isolateText";
import { retryTransient } from "../../../lib/retry";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { FormError } from "../../components/FormError";
import { adminKeys } from "../../lib/adminCache";
import { t } from "../../lib/texts";

interface Props {
  product: Product;
  onDone: () => void;
  onCancel: () => void;
}

export function DeleteProductDialog({ product, onDone, onCancel }: Props) {
  const queries = useQueryClient();
  const remove = useSubmitOnce({
    mutationFn: () => retryTransient(() => deleteProduct(product.id)),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: adminKeys.products });
      onDone();
    },
  });
  return (
    <ConfirmDialog
      title={t("product.delete_title", { name: isolateText(product.name) })}
      confirmLabel={t("product.delete_yes")}
      isPending={remove.isPending}
      onConfirm={() => remove.submit()}
      onCancel={onCancel}
    >
      <p>{t("product.delete_text")}</p>
      <FormError error={remove.error} />
    </ConfirmDialog>
  );
}

async function deleteProduct(id: string): Promise<void> {
  const reply = await client.DELETE("/api/v1/admin/products/{id}", { params: { path: { id } } });
  if (reply.response.status === 204) return;
  await unwrapReply(Promise.resolve(reply)).catch((error: unknown) => {
    // An earlier try deleted the product, and its reply was lost.
    if (!(error instanceof ApiError && error.code === "product_unknown")) throw error;
  });
}
