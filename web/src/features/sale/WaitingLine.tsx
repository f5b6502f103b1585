// The line of a sale: joining it, the buyer's position, and leaving it.

import { useQueryClient } from "@tanstack/react-query";
import { ConfirmInline } from "../../components/ConfirmInline";
import { SignInLink } from "../../components/Layout";
import { ErrorNotice, Notice } from "../../components/Notices";
import { client, type Place, type Sale, unwrapReply } from "../../lib/api";
import { unlockChime } from "../../lib/chime";
import { ApiError } from "../../lib/errors";
import { locale, t } from "../../lib/i18n";
import { queryKeys } from "../../lib/queryKeys";
import { retryTransient } from "../../lib/retry";
import { useUser } from "../../lib/session";
import { formatRoughDuration } from "../../lib/time";
import { useSubmitOnce } from "../../lib/useSubmitOnce";

export function JoinLine({ sale }: { sale: Sale }) {
  const queries = useQueryClient();
  const user = useUser();
  const join = useSubmitOnce({
    // A second join returns the same place, so the request needs no idempotency key.
    mutationFn: () =>
      retryTransient(() =>
        unwrapReply(client.POST("/api/v1/queue/join", { body: { flashSaleId: sale.id } })),
      ),
    onSuccess: (place) => queries.setQueryData(queryKeys.place(sale.id), place),
    onError: () => void queries.invalidateQueries({ queryKey: queryKeys.sale(sale.slug) }),
  });
  if (user === null) {
    return (
      <>
        <p>{t("join.sign_in_first")}</p>
        <SignInLink className="button button-main">{t("join.sign_in")}</SignInLink>
      </>
    );
  }
  return (
    <>
      <button
        type="button"
        className="button button-main text-lg"
        aria-disabled={join.isPending}
        onClick={() => {
          unlockChime();
          join.submit();
        }}
      >
        {join.isPending ? t("join.asking") : t("join.join")}
      </button>
      <ErrorNotice error={join.error} />
    </>
  );
}

export function PlaceInLine({ sale, place }: { sale: Sale; place: Place }) {
  return (
    <>
      <dl className="grid grid-cols-2 gap-x-6 gap-y-5">
        <div className="col-span-2">
          <dt className="text-sm text-soft">{t("waiting.position")}</dt>
          <dd className="figure text-7xl text-mark">{t("number", { count: place.position })}</dd>
        </div>
        <div>
          <dt className="text-sm text-soft">{t("waiting.estimate")}</dt>
          <dd className="text-lg">
            {sale.status === "paused" || sale.availability !== "available"
              ? t("waiting.unknown")
              : t("waiting.about", { time: formatRoughDuration(place.estimatedWaitSeconds, locale()) })}
          </dd>
        </div>
        <div>
          <dt className="text-sm text-soft">{t("waiting.ticket")}</dt>
          <dd className="text-lg tabular-nums">{t("waiting.number", { count: place.ticket })}</dd>
        </div>
      </dl>
      <p className="font-semibold">
        {place.ahead === 0 ? t("waiting.next") : t("waiting.ahead", { count: place.ahead })}
      </p>
      {sale.status === "paused" && <Notice>{t("waiting.paused")}</Notice>}
      {sale.availability === "all_held" && <Notice>{t("waiting.all_held")}</Notice>}
      {sale.availability === "sold_out" && <Notice>{t("waiting.sold_out")}</Notice>}
      <p>{t("waiting.close_page")}</p>
      <details className="text-sm text-soft">
        <summary>{t("waiting.receipt")}</summary>
        <p className="pt-2">{t("waiting.receipt_text")}</p>
        <code dir="ltr" className="mt-1 block text-base text-ink select-all [overflow-wrap:anywhere]">
          {place.receipt}
        </code>
      </details>
      <LeaveLine sale={sale} />
    </>
  );
}

function LeaveLine({ sale }: { sale: Sale }) {
  const queries = useQueryClient();
  const { submit, isPending, error } = useSubmitOnce({
    mutationFn: async () => {
      const { error, response } = await client.DELETE("/api/v1/queue/leave", {
        params: { query: { flashSaleId: sale.id } },
      });
      // 404: the buyer has left already.
      if (!response.ok && response.status !== 404)
        throw new ApiError(response, (error ?? {}) as ApiError["body"]);
    },
    onSuccess: () => queries.setQueryData(queryKeys.place(sale.id), null),
  });
  return (
    <ConfirmInline
      label={t("leave.leave")}
      question={t("leave.sure")}
      confirmLabel={t("leave.yes")}
      cancelLabel={t("leave.stay")}
      isPending={isPending}
      error={error}
      onConfirm={submit}
    />
  );
}
