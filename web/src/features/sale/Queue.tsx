// The line: joining, standing in it, leaving it. The place is the server's; the page only shows it.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { SignInLink } from "../../components/Layout";
import { Failure, Notice } from "../../components/Notice";
import { ask, client, type Place, type Sale } from "../../lib/api";
import { allowChime } from "../../lib/chime";
import { useDeed } from "../../lib/deed";
import { language, t } from "../../lib/i18n";
import { insist, Refused } from "../../lib/problem";
import { keys } from "../../lib/queries";
import { session } from "../../lib/session";
import { useStore } from "../../lib/store";
import { roughlyIn } from "../../lib/time";

export function Join({ sale }: { sale: Sale }) {
  const queries = useQueryClient();
  const who = useStore(session);
  const join = useDeed({
    // Joining twice is joining once: no key is needed.
    mutationFn: () =>
      insist(() => ask(client.POST("/api/v1/queue/join", { body: { flashSaleId: sale.id } }))),
    onSuccess: (place) => queries.setQueryData(keys.place(sale.id), place),
    onError: () => void queries.invalidateQueries({ queryKey: keys.sale(sale.slug) }),
  });
  if (who.status !== "in") {
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
          allowChime();
          join.press();
        }}
      >
        {join.isPending ? t("join.asking") : t("join.join")}
      </button>
      <Failure error={join.error} />
    </>
  );
}

export function Waiting({ sale, place }: { sale: Sale; place: Place }) {
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
              : t("waiting.about", { time: roughlyIn(place.estimatedWaitSeconds, language()) })}
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
      <Leave sale={sale} />
    </>
  );
}

function Leave({ sale }: { sale: Sale }) {
  const queries = useQueryClient();
  const [isAsked, setAsked] = useState(false);
  const leave = useDeed({
    mutationFn: async () => {
      const { error, response } = await client.DELETE("/api/v1/queue/leave", {
        params: { query: { flashSaleId: sale.id } },
      });
      // Who is not in line any more has left already.
      if (!response.ok && response.status !== 404)
        throw new Refused(response, (error ?? {}) as Refused["body"]);
    },
    onSuccess: () => queries.setQueryData(keys.place(sale.id), null),
  });
  if (!isAsked) {
    return (
      <button
        type="button"
        className="text-link justify-self-start py-1 text-sm"
        onClick={() => setAsked(true)}
      >
        {t("leave.leave")}
      </button>
    );
  }
  return (
    <div className="grid gap-3">
      <p role="alert">{t("leave.sure")}</p>
      <div className="flex flex-wrap gap-3">
        {/* biome-ignore lint/a11y/noAutofocus: the question appears where the button was pressed */}
        <button type="button" autoFocus className="button button-main" onClick={() => setAsked(false)}>
          {t("leave.stay")}
        </button>
        <button
          type="button"
          className="button button-quiet"
          aria-disabled={leave.isPending}
          onClick={() => leave.press()}
        >
          {t("leave.yes")}
        </button>
      </div>
      <Failure error={leave.error} />
    </div>
  );
}
