// What a merchant can do to a sale beside editing it: pause, resume, restock, close, delete. What cannot be taken back asks first.

import { useQueryClient } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";
import { useLocation } from "wouter";
import { client, type Sale, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { retryTransient } from "../../lib/retry";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { refreshSales } from "../lib/queries";
import { type AdminKey, t } from "../lib/texts";
import { parseCount } from "../lib/typed";
import { Dialog } from "./Dialog";
import { Why } from "./Why";

/** Units of a sale at most, as the law has it. */
const QUANTITY_MAX = 10_000_000;
const SMALL = "button button-quiet min-h-10 px-4 py-1.5";

export function Controls({ sale }: { sale: Sale }) {
  const [asked, setAsked] = useState<"restock" | "close" | "delete" | null>(null);
  const [said, setSaid] = useState<AdminKey | null>(null);
  const toggle = useToggle(sale, setSaid);
  const isOver = sale.status === "ended" || sale.status === "closed";
  const hasBuyers = sale.waiting > 0 || sale.available < sale.quantity;
  const answers = {
    sale,
    onCancel: () => setAsked(null),
    onDone: (text: AdminKey) => {
      setAsked(null);
      setSaid(text);
    },
  };
  return (
    <>
      {!isOver && (
        <>
          <button type="button" className={SMALL} aria-disabled={toggle.isPending} onClick={toggle.toggle}>
            {toggle.isPending ? t("control.asking") : t(toggle.name)}
          </button>
          <button type="button" className={SMALL} onClick={() => setAsked("restock")}>
            {t("control.restock")}
          </button>
          <button type="button" className={SMALL} onClick={() => setAsked("close")}>
            {t("control.close")}
          </button>
        </>
      )}
      {!hasBuyers && (
        <button type="button" className={SMALL} onClick={() => setAsked("delete")}>
          {t("control.delete")}
        </button>
      )}
      {toggle.error && (
        <div className="basis-full">
          <Why error={toggle.error} />
        </div>
      )}
      {/* What the badge of the sale shows at the same time is only for those who listen. */}
      <p role="status" className={said === "control.delete_closed" ? "basis-full" : "sr-only"}>
        {said !== null && t(said)}
      </p>
      {asked === "restock" && <Restock {...answers} />}
      {asked === "close" && <Close {...answers} />}
      {asked === "delete" && <Delete {...answers} />}
    </>
  );
}

/** Pausing or resuming, whichever the sale needs. Twice is once, so a lost reply is asked for again. */
function useToggle(sale: Sale, say: (text: AdminKey | null) => void) {
  const queries = useQueryClient();
  const isPaused = sale.status === "paused";
  const params = { path: { id: sale.id } };
  const action = useSubmitOnce({
    mutationFn: (resumes: boolean) => {
      say(null);
      return retryTransient(() =>
        unwrapReply(
          resumes
            ? client.POST("/api/v1/admin/flash-sales/{id}/resume", { params })
            : client.POST("/api/v1/admin/flash-sales/{id}/pause", { params }),
        ),
      );
    },
    onSuccess: (_, resumes) => say(resumes ? "control.resumed" : "control.paused"),
    onSettled: () => refreshSales(queries),
  });
  const name: AdminKey = isPaused ? "control.resume" : "control.pause";
  return { ...action, name, toggle: () => action.submit(isPaused) };
}

interface AnswerProps {
  sale: Sale;
  onDone: (text: AdminKey) => void;
  onCancel: () => void;
}

function Restock({ sale, onDone, onCancel }: AnswerProps) {
  const id = useId();
  const queries = useQueryClient();
  const input = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState("");
  const [isTold, setTold] = useState(false);
  // Asked once: whether units were added when no reply came, only the merchant can tell, by looking.
  const restock = useSubmitOnce({
    mutationFn: (quantity: number) =>
      unwrapReply(
        client.POST("/api/v1/admin/flash-sales/{id}/restock", {
          params: { path: { id: sale.id } },
          body: { quantity },
        }),
      ),
    onSuccess: () => onDone("control.restocked"),
    onSettled: () => refreshSales(queries),
  });
  const most = QUANTITY_MAX - sale.quantity;
  const units = parseCount(typed) ?? 0;
  const isWrong = units < 1 || units > most;
  const isShown = isTold && isWrong;
  return (
    <Dialog
      title={t("control.restock_title", { name: sale.product.name })}
      yes={isWrong ? t("control.restock_yes_some") : t("control.restock_yes", { count: units })}
      isPending={restock.isPending}
      onCancel={onCancel}
      onYes={() => {
        setTold(true);
        if (isWrong) input.current?.focus();
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
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          aria-invalid={isShown}
          aria-describedby={isShown ? `${id}-wrong ${id}-sum` : `${id}-sum`}
        />
        {isShown && (
          <p id={`${id}-wrong`} className="text-sm font-semibold text-mark">
            {t("form.range", { least: 1, most })}
          </p>
        )}
        <p id={`${id}-sum`} className="text-sm text-soft">
          {isWrong
            ? t("control.restock_now", { count: sale.quantity })
            : t("control.restock_sum", { before: sale.quantity, after: sale.quantity + units })}
        </p>
      </div>
      <Why error={restock.error} unsure={t("control.restock_unsure", { count: sale.quantity })} />
    </Dialog>
  );
}

function Close({ sale, onDone, onCancel }: AnswerProps) {
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
    <Dialog
      title={t("control.close_title", { name: sale.product.name })}
      yes={t("control.close_yes")}
      isPending={close.isPending}
      onCancel={onCancel}
      onYes={() => close.submit()}
    >
      <p className="font-semibold">{t("control.close_text")}</p>
      <p>{t("control.close_kept")}</p>
      {sale.waiting > 0 && <p>{t("control.close_waiting", { count: sale.waiting })}</p>}
      <Why error={close.error} />
    </Dialog>
  );
}

function Delete({ sale, onDone, onCancel }: AnswerProps) {
  const queries = useQueryClient();
  const [, go] = useLocation();
  const remove = useSubmitOnce({
    mutationFn: () => retryTransient(() => deleteSale(sale.id)),
    onSuccess: (isGone) => (isGone ? go("/admin") : onDone("control.delete_closed")),
    onSettled: () => refreshSales(queries),
  });
  return (
    <Dialog
      title={t("control.delete_title", { name: sale.product.name })}
      yes={t("control.delete_yes")}
      isPending={remove.isPending}
      onCancel={onCancel}
      onYes={() => remove.submit()}
    >
      <p>{t("control.delete_text")}</p>
      <Why error={remove.error} />
    </Dialog>
  );
}

/** True when it is gone; false when buyers had been in it, so that it was closed and stays. */
async function deleteSale(id: string): Promise<boolean> {
  const reply = await client.DELETE("/api/v1/admin/flash-sales/{id}", { params: { path: { id } } });
  if (reply.response.status === 204) return true;
  try {
    await unwrapReply(Promise.resolve(reply));
    return false;
  } catch (error) {
    // An earlier try, whose reply got lost, has done it.
    if (error instanceof ApiError && error.code === "sale_unknown") return true;
    throw error;
  }
}
