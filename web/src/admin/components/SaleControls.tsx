// The actions on a sale: pause, resume, restock, close and delete. Those that cannot be undone ask first.

import { useQueryClient } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";
import { useLocation } from "wouter";
import { RetryStatus } from "../../components/Notices";
import { client, type Sale, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { isolateText } from "../../lib/isolateText";
import { retryTransient } from "../../lib/retry";
import { isSaleOver } from "../../lib/saleStatus";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { useSubmitWithKey } from "../../lib/useSubmitWithKey";
import { refreshSales } from "../lib/adminCache";
import { parseCount } from "../lib/parseFields";
import { type AdminTextKey, t } from "../lib/texts";
import { ConfirmDialog } from "./ConfirmDialog";
import { FormError } from "./FormError";

/** The limit of a sale's units, from the domain rules. */
const QUANTITY_MAX = 10_000_000;
const BUTTON = "button button-quiet min-h-10 px-4 py-1.5";

export function SaleControls({ sale }: { sale: Sale }) {
  const [dialog, setDialog] = useState<"restock" | "close" | "delete" | null>(null);
  const [result, setResult] = useState<AdminTextKey | null>(null);
  const toggle = usePauseToggle(sale, setResult);
  const hasBuyers = sale.waiting > 0 || sale.available < sale.quantity;
  const handlers = {
    sale,
    onCancel: () => setDialog(null),
    onDone: (text: AdminTextKey) => {
      setDialog(null);
      setResult(text);
    },
  };
  return (
    <>
      {!isSaleOver(sale) && (
        <>
          <button type="button" className={BUTTON} aria-disabled={toggle.isPending} onClick={toggle.toggle}>
            {toggle.isPending ? t("control.asking") : t(toggle.name)}
          </button>
          <button type="button" className={BUTTON} onClick={() => setDialog("restock")}>
            {t("control.restock")}
          </button>
          <button type="button" className={BUTTON} onClick={() => setDialog("close")}>
            {t("control.close")}
          </button>
        </>
      )}
      {!hasBuyers && (
        <button type="button" className={BUTTON} onClick={() => setDialog("delete")}>
          {t("control.delete")}
        </button>
      )}
      {toggle.error && (
        <div className="basis-full">
          <FormError error={toggle.error} />
        </div>
      )}
      {/* The badge of the sale shows the other results, so these are for screen readers only. */}
      <p role="status" className={result === "control.delete_closed" ? "basis-full" : "sr-only"}>
        {result !== null && t(result)}
      </p>
      {dialog === "restock" && <RestockDialog {...handlers} />}
      {dialog === "close" && <CloseDialog {...handlers} />}
      {dialog === "delete" && <DeleteDialog {...handlers} />}
    </>
  );
}

/** Pauses or resumes the sale. A second request changes nothing, so a lost reply is retried. */
function usePauseToggle(sale: Sale, setResult: (text: AdminTextKey | null) => void) {
  const queries = useQueryClient();
  const isPaused = sale.status === "paused";
  const params = { path: { id: sale.id } };
  const action = useSubmitOnce({
    mutationFn: (resumes: boolean) => {
      setResult(null);
      return retryTransient(() =>
        unwrapReply(
          resumes
            ? client.POST("/api/v1/admin/flash-sales/{id}/resume", { params })
            : client.POST("/api/v1/admin/flash-sales/{id}/pause", { params }),
        ),
      );
    },
    onSuccess: (_, resumes) => setResult(resumes ? "control.resumed" : "control.paused"),
    onSettled: () => refreshSales(queries),
  });
  const name: AdminTextKey = isPaused ? "control.resume" : "control.pause";
  return { ...action, name, toggle: () => action.submit(isPaused) };
}

interface DialogProps {
  sale: Sale;
  onDone: (text: AdminTextKey) => void;
  onCancel: () => void;
}

function RestockDialog({ sale, onDone, onCancel }: DialogProps) {
  const id = useId();
  const queries = useQueryClient();
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState("");
  const [isSubmitted, setSubmitted] = useState(false);
  const restock = useSubmitWithKey({
    operation: `restock:${sale.id}`,
    send: (key, quantity: number) =>
      unwrapReply(
        client.POST("/api/v1/admin/flash-sales/{id}/restock", {
          params: { path: { id: sale.id }, header: { "Idempotency-Key": key } },
          body: { quantity },
        }),
      ),
    onSuccess: () => onDone("control.restocked"),
    onSettled: () => refreshSales(queries),
  });
  // As it was when the dialog opened: after a lost reply the sale may have the new units already.
  const [before] = useState(sale.quantity);
  const most = QUANTITY_MAX - before;
  const units = parseCount(text) ?? 0;
  const isInvalid = units < 1 || units > most;
  const hasError = isSubmitted && isInvalid;
  return (
    <ConfirmDialog
      title={t("control.restock_title", { name: isolateText(sale.product.name) })}
      confirmLabel={isInvalid ? t("control.restock_yes_some") : t("control.restock_yes", { count: units })}
      isPending={restock.isPending}
      onCancel={onCancel}
      onConfirm={() => {
        setSubmitted(true);
        if (isInvalid) input.current?.focus();
        else restock.submit(units);
      }}
    >
      <p>{t("control.restock_text")}</p>
      <div className="grid gap-1">
        <label htmlFor={id} className="font-semibold">
          {t("control.restock_units")}
        </label>
        <input
          ref={input}
          id={id}
          inputMode="numeric"
          autoComplete="off"
          className="field max-w-40"
          value={text}
          onChange={(event) => setText(event.target.value)}
          aria-invalid={hasError}
          aria-describedby={hasError ? `${id}-error ${id}-total` : `${id}-total`}
        />
        {hasError && (
          <p id={`${id}-error`} className="text-sm font-semibold text-mark">
            {t("form.range", { least: 1, most })}
          </p>
        )}
        <p id={`${id}-total`} className="text-sm text-soft">
          {isInvalid
            ? t("control.restock_now", { count: before })
            : t("control.restock_sum", { before, after: before + units })}
        </p>
      </div>
      <RetryStatus isRetrying={restock.isRetrying} />
      <FormError error={restock.error} unknownResult={t("form.unsure")} />
    </ConfirmDialog>
  );
}

function CloseDialog({ sale, onDone, onCancel }: DialogProps) {
  const queries = useQueryClient();
  const close = useSubmitOnce({
    mutationFn: () =>
      retryTransient(() =>
        unwrapReply(
          client.POST("/api/v1/admin/flash-sales/{id}/close", { params: { path: { id: sale.id } } }),
        ),
      ),
    onSuccess: () => onDone("control.closed"),
    onSettled: () => refreshSales(queries),
  });
  return (
    <ConfirmDialog
      title={t("control.close_title", { name: isolateText(sale.product.name) })}
      confirmLabel={t("control.close_yes")}
      isPending={close.isPending}
      onCancel={onCancel}
      onConfirm={() => close.submit()}
    >
      <p className="font-semibold">{t("control.close_text")}</p>
      <p>{t("control.close_kept")}</p>
      {sale.waiting > 0 && <p>{t("control.close_waiting", { count: sale.waiting })}</p>}
      <FormError error={close.error} />
    </ConfirmDialog>
  );
}

function DeleteDialog({ sale, onDone, onCancel }: DialogProps) {
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const remove = useSubmitOnce({
    mutationFn: () => retryTransient(() => deleteSale(sale.id)),
    onSuccess: (isDeleted) => (isDeleted ? navigate("/admin") : onDone("control.delete_closed")),
    onSettled: () => refreshSales(queries),
  });
  return (
    <ConfirmDialog
      title={t("control.delete_title", { name: isolateText(sale.product.name) })}
      confirmLabel={t("control.delete_yes")}
      isPending={remove.isPending}
      onCancel={onCancel}
      onConfirm={() => remove.submit()}
    >
      <p>{t("control.delete_text")}</p>
      <FormError error={remove.error} />
    </ConfirmDialog>
  );
}

/** Returns false when the server closed the sale instead, because buyers have places or orders in it. */
async function deleteSale(id: string): Promise<boolean> {
  const reply = await client.DELETE("/api/v1/admin/flash-sales/{id}", { params: { path: { id } } });
  if (reply.response.status === 204) return true;
  try {
    await unwrapReply(Promise.resolve(reply));
    return false;
  } catch (error) {
    // An earlier try deleted the sale, and its reply was lost.
    if (error instanceof ApiError && error.code === "sale_unknown") return true;
    throw error;
  }
}
