// Sets a receiver back in a sale, after a confirmation: it goes through the events behind a number again.

import { useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { client, unwrapReply } from "../../../lib/api";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { FormError } from "../../components/FormError";
import { adminKeys } from "../../lib/adminCache";
import { parseCount } from "../../lib/parseFields";
import { t } from "../../lib/texts";
import type { FollowerSale } from "./queries";
import { rewindText } from "./receivers";

interface Props {
  name: string;
  sale: FollowerSale;
  slug: string;
  onClose: () => void;
  onDone: (seq: number) => void;
}

export function RewindDialog({ name, sale, slug, onClose, onDone }: Props) {
  const fieldId = useId();
  const queries = useQueryClient();
  const [text, setText] = useState("0");
  // The projector always writes the whole sale again.
  const isWhole = name === "projector";
  const seq = isWhole ? 0 : parseCount(text);
  const isValid = seq !== null && seq <= sale.seq;
  const rewind = useSubmitOnce<{ seq: number }>({
    mutationFn: () => {
      const params = { path: { name } };
      const body = { flashSaleId: sale.flashSaleId, seq: seq ?? 0 };
      return unwrapReply(client.POST("/api/v1/admin/followers/{name}/rewind", { params, body }));
    },
    onSuccess: (reply) => {
      onDone(reply.seq);
      return queries.invalidateQueries({ queryKey: adminKeys.followers });
    },
  });
  return (
    <ConfirmDialog
      title={t("integration.rewind_title", { slug })}
      confirmLabel={t("integration.rewind_yes")}
      isPending={rewind.isPending}
      onConfirm={() => isValid && rewind.submit()}
      onCancel={onClose}
    >
      <p>{t(rewindText(name))}</p>
      {!isWhole && (
        <div className="grid gap-1">
          <label htmlFor={fieldId} className="font-semibold">
            {t("integration.rewind_seq")}
          </label>
          <p id={`${fieldId}-hint`} className="text-sm text-soft">
            {t("integration.rewind_hint", { most: sale.seq })}
          </p>
          <input
            id={fieldId}
            className="field"
            inputMode="numeric"
            autoComplete="off"
            value={text}
            aria-describedby={`${fieldId}-hint`}
            aria-invalid={!isValid}
            onChange={(event) => setText(event.target.value)}
          />
        </div>
      )}
      <FormError error={rewind.error} />
    </ConfirmDialog>
  );
}
