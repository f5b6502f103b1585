// The line of a sale: joining it, the buyer's position, and leaving it.

import { useQueryClient } from "@tanstack/react-query";
import { ConfirmInline } from "../../components/ConfirmInline";
import { SignInLink } from "../../components/Layout";
import { ErrorNotice, Notice } from "../../components/Notices";
import { askForNotifications, unlockChime } from "../../lib/alerts";
import { client, type Place, type Sale, unwrapReply } from "../../lib/api";
import { ApiError } from "../../lib/errors";
import { locale, t } from "../../lib/i18n";
import { formatMoney } from "../../lib/money";
import { queryKeys } from "../../lib/queryKeys";
import { retryTransient } from "../../lib/retry";
import { salePayment } from "../../lib/saleTerms";
import { useUser } from "../../lib/session";
import { formatRoughDuration } from "../../lib/time";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { type Prospect, waitingProspect } from "./buyerStage";
import { PriceAndStock, StartTime, unitsLeft } from "./SaleTicket";
import { TurnAlerts } from "./TurnAlerts";

export function JoinLine({ sale }: { sale: Sale }) {
  const queries = useQueryClient();
  const user = useUser();
  const join = useSubmitOnce<Place>({
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
        className="button button-main flex-col gap-0 text-lg"
        aria-disabled={join.isPending}
        onClick={() => {
          unlockChime();
          void askForNotifications();
          join.submit();
        }}
      >
        {join.isPending ? t("join.asking") : t("join.join")}
        <span className="text-sm font-normal">
          {" "}
          {salePayment(sale) !== "free" && `${formatMoney(sale.price, locale())} · `}
          {t("open.left", { count: unitsLeft(sale) })}
        </span>
      </button>
      <ErrorNotice error={join.error} />
    </>
  );
}

interface PlaceProps {
  sale: Sale;
  place: Place;
  now: number | null;
}

export function PlaceInLine({ sale, place, now }: PlaceProps) {
  const prospect = waitingProspect(sale, place);
  return (
    <>
      {sale.status === "upcoming" && <StartTime sale={sale} now={now} />}
      <dl className="grid grid-cols-[repeat(auto-fit,minmax(min(8rem,100%),1fr))] gap-x-6 gap-y-5">
        <div className="col-span-full">
          <dt className="text-sm text-soft">{t("waiting.position")}</dt>
          <dd className="@container figure text-mark">
            <span className="text-[min(4.5rem,24cqi)]">{t("number", { count: place.position })}</span>
          </dd>
        </div>
        <div>
          <dt className="text-sm text-soft">{t("waiting.estimate")}</dt>
          <dd className="text-lg">
            {prospect.kind === "estimate"
              ? t("waiting.about", { time: formatRoughDuration(prospect.seconds, locale()) })
              : t(prospect.kind === "next" ? "waiting.at_once" : "waiting.unknown")}
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
      <WaitingNotices sale={sale} prospect={prospect} />
      {sale.availability !== "sold_out" && <PriceAndStock sale={sale} left={place.unitsLeft} />}
      <p>{t("waiting.close_page")}</p>
      <TurnAlerts />
      {place.receipt && (
        <details className="text-sm text-soft">
          <summary>{t("waiting.receipt")}</summary>
          <p className="pt-2">{t("waiting.receipt_text")}</p>
          <code dir="ltr" className="mt-1 block text-base text-ink select-all [overflow-wrap:anywhere]">
            {place.receipt}
          </code>
        </details>
      )}
      <LeaveLine sale={sale} />
    </>
  );
}

function WaitingNotices({ sale, prospect }: { sale: Sale; prospect: Prospect }) {
  return (
    <>
      {sale.status === "paused" && <Notice>{t("waiting.paused")}</Notice>}
      {sale.availability === "sold_out" ? (
        <Notice>{t("waiting.sold_out")}</Notice>
      ) : prospect.kind === "beyond_stock" ? (
        <Notice>{t("waiting.beyond_stock", { count: prospect.unitsLeft })}</Notice>
      ) : (
        sale.availability === "all_held" && <Notice>{t("waiting.all_held")}</Notice>
      )}
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
