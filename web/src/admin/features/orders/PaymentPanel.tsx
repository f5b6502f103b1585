// The payments of one order: how far each has come, where it is at the provider, what went back, and what a person should do.

import { type ReactNode, useId } from "react";
import { ErrorNotice, Notice } from "../../../components/Notices";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { useServerNow } from "../../../lib/useServerTime";
import { providerName } from "../../lib/providerName";
import { type AdminTextKey, t } from "../../lib/texts";
import { formatTimestamp } from "../../lib/timestamps";
import {
  type Advice,
  adviseOnFinding,
  adviseOnPayment,
  findingStatusKey,
  findingTitleKey,
  formatNextTry,
  leftMinor,
  type OrderPayment,
  type PaymentFinding,
  stateKey,
  stateTone,
} from "./paymentView";
import { type AdminOrder, useOrderPayments } from "./queries";

export function PaymentPanel({ order }: { order: AdminOrder }) {
  const id = useId();
  return (
    <section aria-labelledby={id} className="grid gap-3 border-t border-line pt-4" data-payments={order.id}>
      <h2 id={id} className="text-lg">
        {t("payments.title")}
      </h2>
      {order.paymentRequired === false ? (
        <p>{t("payments.none.collected")}</p>
      ) : (
        <PaymentList order={order} />
      )}
    </section>
  );
}

function PaymentList({ order }: { order: AdminOrder }) {
  const { data, error, isPending, refetch } = useOrderPayments(order.id);
  if (isPending) return <div className="skeleton h-32" aria-busy="true" />;
  if (data === undefined) {
    return (
      <div className="grid justify-items-start gap-3">
        <ErrorNotice error={error} />
        <button type="button" className="button button-quiet" onClick={() => void refetch()}>
          {t("payments.retry")}
        </button>
      </div>
    );
  }
  return (
    <>
      {error !== null && <Notice>{t("payments.stale")}</Notice>}
      {data.items.length === 0 && <NoPayment order={order} />}
      <ol className="grid gap-3">
        {data.items.toReversed().map((payment, at) => (
          <li key={payment.id}>
            <PaymentCard
              payment={payment}
              order={order}
              count={{ number: data.items.length - at, all: data.items.length }}
            />
          </li>
        ))}
      </ol>
    </>
  );
}

function NoPayment({ order }: { order: AdminOrder }) {
  if (order.total.amount === 0) return <p>{t("payments.none.free")}</p>;
  if (order.status === "confirmed" || order.status === "refunded") {
    return <Notice>{t("payments.none.missing")}</Notice>;
  }
  return <p>{t(order.status === "pending" ? "payments.none.pending" : "payments.none.over")}</p>;
}

const TONES = { good: "text-good", over: "text-soft", under_way: "" };

interface CardProps {
  payment: OrderPayment;
  order: AdminOrder;
  count: { number: number; all: number };
}

function PaymentCard({ payment, order, count }: CardProps) {
  const state = stateKey(payment);
  const advice = adviseOnPayment(payment, order);
  return (
    <article
      className="grid gap-4 rounded-xl border border-line bg-card p-4 sm:p-5"
      data-payment={payment.status}
    >
      <div className="grid gap-1">
        {count.all > 1 && <p className="text-sm text-soft">{t("payments.number", count)}</p>}
        <div className="flex flex-wrap items-baseline justify-between gap-x-6 gap-y-1">
          <h3 className="figure text-2xl">
            <bdi>{formatMoney(payment.amount, locale())}</bdi>
          </h3>
          <p className={`font-semibold ${TONES[stateTone(payment)]}`}>
            {state === null ? <ProviderWord word={payment.status} /> : t(state)}
          </p>
        </div>
        {payment.reason !== "" && (
          <p>
            {t("payments.declined_because")} <bdi className="[overflow-wrap:anywhere]">{payment.reason}</bdi>
          </p>
        )}
        {advice !== null && !advice.isUrgent && (
          <p className="max-w-prose text-sm text-soft">{t(advice.key)}</p>
        )}
      </div>
      {advice?.isUrgent && <AdviceNotice advice={advice} />}
      <PaymentFacts payment={payment} />
      {payment.findings.length > 0 && (
        <ul className="grid gap-3" aria-label={t("payments.findings")}>
          {payment.findings.map((finding) => (
            <FindingItem key={finding.id} finding={finding} payment={payment} order={order} />
          ))}
        </ul>
      )}
    </article>
  );
}

function PaymentFacts({ payment }: { payment: OrderPayment }) {
  const { provider, method, reference, dashboardUrl, amount, refunded, tries, nextTryAt } = payment;
  const left = { ...amount, amount: leftMinor(payment) };
  return (
    <dl className="grid gap-x-6 gap-y-3 sm:grid-cols-2 lg:grid-cols-[1fr_2fr_1fr_1fr]">
      <Fact name="payments.provider">
        <bdi>{providerName(provider)}</bdi>
        {method !== provider && (
          <code dir="ltr" className="block text-sm text-soft">
            {method}
          </code>
        )}
        {provider === "sandbox" && (
          <span className="block text-sm text-soft">{t("payments.no_money_moves")}</span>
        )}
      </Fact>
      <Fact name="payments.reference">
        {reference === undefined ? (
          "–"
        ) : (
          <code dir="ltr" className="select-all">
            {reference}
          </code>
        )}
        {dashboardUrl !== undefined && (
          <a
            href={dashboardUrl}
            target="_blank"
            rel="noopener noreferrer"
            className="text-link block w-fit py-1"
          >
            {t("payments.open_at", { provider: providerName(provider) })}
            <span className="sr-only"> {t("payments.new_tab")}</span>
          </a>
        )}
      </Fact>
      <Fact name="payments.begun">
        <time dateTime={payment.createdAt}>{formatTimestamp(payment.createdAt, locale())}</time>
      </Fact>
      <Fact name="payments.changed">
        <time dateTime={payment.updatedAt}>{formatTimestamp(payment.updatedAt, locale())}</time>
      </Fact>
      {refunded.amount > 0 && (
        <Fact name="payments.given_back">
          <span data-given-back={refunded.amount}>
            {t(left.amount > 0 ? "payments.given_back_of" : "payments.given_back_last", {
              part: formatMoney(refunded, locale()),
              left: formatMoney(left, locale()),
            })}
          </span>
        </Fact>
      )}
      {tries > 0 && (
        <Fact name="payments.tries">
          <span data-tries={tries}>{t("payments.tries_text", { count: tries })}</span>
        </Fact>
      )}
      {nextTryAt !== undefined && <NextTry at={nextTryAt} />}
    </dl>
  );
}

/** When the shop asks the provider again by itself. The list is loaded again every few seconds, and with it this moment. */
function NextTry({ at }: { at: string }) {
  const nowMs = useServerNow();
  return (
    <Fact name="payments.next_try">
      {nowMs !== null && (
        <span data-next-try={at}>{formatNextTry(at, nowMs, locale()) ?? t("payments.next_try_due")}</span>
      )}
      <time dateTime={at} className="block text-sm text-soft">
        {formatTimestamp(at, locale())}
      </time>
    </Fact>
  );
}

function Fact({ name, children }: { name: AdminTextKey; children: ReactNode }) {
  return (
    <div className="min-w-0 [overflow-wrap:anywhere]">
      <dt className="text-sm text-soft">{t(name)}</dt>
      <dd>{children}</dd>
    </div>
  );
}

interface FindingProps {
  finding: PaymentFinding;
  payment: OrderPayment;
  order: AdminOrder;
}

function FindingItem({ finding, payment, order }: FindingProps) {
  const nowMs = useServerNow();
  const status = findingStatusKey(finding);
  const advice = adviseOnFinding(finding, { payment, order, nowMs });
  return (
    <li className="grid gap-2 border-t border-line pt-3" data-finding={finding.kind}>
      <div className="flex flex-wrap items-baseline justify-between gap-x-6 gap-y-1">
        <h4 className="font-display text-lg">
          {t(findingTitleKey(finding))} · <bdi>{formatMoney(finding.amount, locale())}</bdi>
        </h4>
        <p className="font-semibold">
          {status === null ? <ProviderWord word={finding.status} /> : t(status)}
        </p>
      </div>
      <p className="flex flex-wrap gap-x-5 gap-y-1 text-sm text-soft [overflow-wrap:anywhere]">
        <code dir="ltr" className="select-all">
          {finding.id}
        </code>
        {finding.reason !== "" && (
          <span>
            {t("payments.reason")} <ProviderWord word={finding.reason} />
          </span>
        )}
        {finding.dueAt !== undefined && (
          <span>
            {t("payments.due")}{" "}
            <time dateTime={finding.dueAt}>{formatTimestamp(finding.dueAt, locale())}</time>
          </span>
        )}
      </p>
      {advice.isUrgent ? (
        <AdviceNotice advice={advice} />
      ) : (
        <p className="max-w-prose text-sm">{t(advice.key)}</p>
      )}
    </li>
  );
}

function AdviceNotice({ advice }: { advice: Advice }) {
  return (
    <Notice>
      <strong>{t("payments.do.title")}</strong> {t(advice.key)}
    </Notice>
  );
}

/** A word of the provider that the pages have no text for. */
function ProviderWord({ word }: { word: string }) {
  return (
    <code dir="ltr" className="[overflow-wrap:anywhere]">
      {word === "" ? "–" : word}
    </code>
  );
}
