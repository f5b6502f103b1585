// One receiver of events: its state in words, its last failure, and on demand how far it has come in each sale.

import { useId, useState } from "react";
import { locale } from "../../../lib/i18n";
import { type Column, RecordTable } from "../../components/RecordTable";
import { t } from "../../lib/texts";
import { formatTimestamp } from "../../lib/timestamps";
import { useCurrentSales } from "../catalogue/queries";
import type { FollowerSale } from "./queries";
import { RewindDialog } from "./RewindDialog";
import { isKnownReceiver, type ReceiverRow, type ReceiverState } from "./receivers";

const COLOURS: Record<ReceiverState, string> = {
  off: "text-soft",
  failing: "text-mark",
  behind: "",
  current: "text-good",
};

function receiverTitle(name: string): string {
  return isKnownReceiver(name) ? t(`integration.name.${name}`) : name;
}

export function ReceiverPanel({ receiver }: { receiver: ReceiverRow }) {
  const { name, state, follower } = receiver;
  const [isOpen, setOpen] = useState(false);
  const detailsId = useId();
  const failure = follower?.failure;
  return (
    <li className="grid gap-1 px-4 py-3 sm:px-5" data-receiver={name}>
      <div className="flex flex-wrap items-baseline justify-between gap-x-6 gap-y-1">
        <h2 className="text-lg">
          <bdi>{receiverTitle(name)}</bdi>
        </h2>
        <p data-receiver-state={state} className={`font-semibold ${COLOURS[state]}`}>
          {stateText(receiver)}
        </p>
      </div>
      {isKnownReceiver(name) && (
        <p className="max-w-prose text-sm text-soft">
          {t(state === "off" ? `integration.off.${name}` : `integration.text.${name}`)}
        </p>
      )}
      {failure && (
        <p className="max-w-prose text-sm [overflow-wrap:anywhere]">
          {failure.endedAt
            ? t("integration.failed_until", {
                from: formatTimestamp(failure.beganAt, locale()),
                until: formatTimestamp(failure.endedAt, locale()),
              })
            : t("integration.failed_at", { time: formatTimestamp(failure.failedAt, locale()) })}{" "}
          <bdi dir="ltr">{failure.reason}</bdi>
        </p>
      )}
      {follower !== null && follower.sales.length > 0 && (
        <div>
          <button
            type="button"
            className="text-link py-1"
            aria-expanded={isOpen}
            aria-controls={detailsId}
            onClick={() => setOpen(!isOpen)}
          >
            {t(isOpen ? "integration.hide_sales" : "integration.show_sales")}
            <span className="sr-only"> {receiverTitle(name)}</span>
          </button>
          <div id={detailsId}>{isOpen && <SaleProgress name={name} sales={follower.sales} />}</div>
        </div>
      )}
    </li>
  );
}

function stateText({ state, follower }: ReceiverRow): string {
  if (state === "behind") return t("integration.state.behind", { count: follower?.eventsBehind ?? 0 });
  if (state === "failing") {
    return t("integration.state.failing", {
      time: formatTimestamp(follower?.failure?.beganAt ?? "", locale()),
    });
  }
  return t(`integration.state.${state}`);
}

function SaleProgress({ name, sales }: { name: string; sales: FollowerSale[] }) {
  const known = useCurrentSales().data ?? [];
  const [rewound, setRewound] = useState<FollowerSale | null>(null);
  const [result, setResult] = useState("");
  const slugOf = (id: string) => known.find((sale) => sale.id === id)?.slug ?? id;
  const count = (number: number) => new Intl.NumberFormat(locale()).format(number);
  const columns: Column<FollowerSale>[] = [
    {
      key: "sale",
      name: t("integration.sale"),
      cell: ({ flashSaleId }) => (
        <bdi dir="ltr" className="[overflow-wrap:anywhere]">
          {slugOf(flashSaleId)}
        </bdi>
      ),
    },
    { key: "seq", name: t("integration.seq"), isNumeric: true, cell: ({ seq }) => count(seq) },
    { key: "last", name: t("integration.last"), isNumeric: true, cell: ({ version }) => count(version) },
    {
      key: "behind",
      name: t("integration.behind"),
      isNumeric: true,
      cell: ({ eventsBehind }) => count(eventsBehind),
    },
    {
      key: "actions",
      name: t("integration.actions"),
      cell: (sale) =>
        sale.seq > 0 && (
          <button type="button" className="text-link md:py-1" onClick={() => setRewound(sale)}>
            {t("integration.rewind")}
            <span className="sr-only"> {slugOf(sale.flashSaleId)}</span>
          </button>
        ),
    },
  ];
  return (
    <div className="grid gap-3 py-2">
      <p role="status" className={result === "" ? "sr-only" : "text-good"}>
        {result}
      </p>
      <RecordTable
        caption={t("integration.sales_of", { name: receiverTitle(name) })}
        columns={columns}
        rows={sales}
        keyOf={(sale) => sale.flashSaleId}
      />
      {rewound !== null && (
        <RewindDialog
          name={name}
          sale={rewound}
          slug={slugOf(rewound.flashSaleId)}
          onClose={() => setRewound(null)}
          onDone={(seq) => {
            setResult(t("integration.rewound", { slug: slugOf(rewound.flashSaleId), seq }));
            setRewound(null);
          }}
        />
      )}
    </div>
  );
}
