// Orders of all sales, or of one: found by a search and filters that live in the address, saved as a table, refunded.

import { useState } from "react";
import { ErrorNotice, LoadError } from "../../../components/Notices";
import type { Order } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { useTitle } from "../../../lib/useTitle";
import { ChoiceField, DayField, SearchField } from "../../components/FilterFields";
import { PageHead } from "../../components/Frame";
import { OfSale } from "../../components/OfSale";
import { Pager } from "../../components/Pager";
import { type Column, Table } from "../../components/Table";
import { Who } from "../../components/Who";
import { type Change, useFilters } from "../../lib/filters";
import { formatExact } from "../../lib/moments";
import { ORDER_FILTERS, type OrderFilters } from "../../lib/recordFilters";
import { type AdminOrder, useAdminOrders, useSaleChoices } from "../../lib/recordQueries";
import { t } from "../../lib/texts";
import { Details } from "./Details";
import { Export } from "./Export";
import { RefundDialog } from "./RefundDialog";

const STATUSES: Order["status"][] = ["pending", "confirmed", "expired", "cancelled", "declined", "refunded"];

export function OrdersPage({ saleId }: { saleId?: string }) {
  if (saleId === undefined) return <OfAllSales />;
  return (
    <OfSale id={saleId} title={t("orders.title")}>
      {() => <Orders saleId={saleId} />}
    </OfSale>
  );
}

function OfAllSales() {
  useTitle(t("orders.title"));
  return (
    <>
      <PageHead title={t("orders.title")} />
      <Orders />
    </>
  );
}

function Orders({ saleId }: { saleId?: string }) {
  const [shown, change] = useFilters(ORDER_FILTERS);
  const filters = saleId === undefined ? shown : { ...shown, sale: saleId };
  const query = useAdminOrders(filters);
  const { data, error, isPending, isPlaceholderData, refetch } = query;
  const orders = data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <Fields filters={shown} change={change} hasSales={saleId === undefined} />
      <Export filters={filters} />
      {isPending && <div className="skeleton h-64" aria-busy="true" />}
      {!isPending && data === undefined && <LoadError error={error} onRetry={() => void refetch()} />}
      {data && (
        <>
          <ErrorNotice error={error} />
          <List orders={orders} isStale={isPlaceholderData} hasSales={saleId === undefined} />
          <Pager count={orders.length} none={t("orders.none")} query={query} />
        </>
      )}
    </>
  );
}

interface FieldsProps {
  filters: OrderFilters;
  change: Change<keyof OrderFilters>;
  hasSales: boolean;
}

function Fields({ filters, change, hasSales }: FieldsProps) {
  const [search] = useState(() => (q: string, isOngoing: boolean) => change({ q }, isOngoing));
  const isFiltered = Object.values(filters).some((value) => value !== "");
  return (
    <search className="flex flex-wrap items-start gap-4 pb-4">
      <SearchField
        label={t("orders.search")}
        hint={t("orders.search_hint")}
        value={filters.q}
        onSearch={search}
      />
      <ChoiceField
        label={t("orders.status")}
        value={filters.status}
        options={[
          { value: "", text: t("orders.any") },
          ...STATUSES.map((value) => ({ value, text: t(`orders.status.${value}`) })),
        ]}
        onChoose={(status) => change({ status })}
      />
      {hasSales && <SaleField value={filters.sale} onChoose={(sale) => change({ sale })} />}
      <DayField label={t("orders.from")} value={filters.from} onChoose={(from) => change({ from })} />
      <DayField label={t("orders.to")} value={filters.to} onChoose={(to) => change({ to })} />
      {isFiltered && (
        <button
          type="button"
          className="text-link self-center py-2"
          onClick={() => change({ q: "", status: "", sale: "", from: "", to: "" })}
        >
          {t("orders.clear")}
        </button>
      )}
    </search>
  );
}

function SaleField({ value, onChoose }: { value: string; onChoose: (sale: string) => void }) {
  const { data } = useSaleChoices();
  const sales = data?.items.map((sale) => ({ value: sale.id, text: `${sale.product.name} (${sale.slug})` }));
  return (
    <ChoiceField
      label={t("orders.sale")}
      value={value}
      options={[{ value: "", text: t("orders.any_sale") }, ...(sales ?? [])]}
      onChoose={onChoose}
    />
  );
}

interface ListProps {
  orders: AdminOrder[];
  isStale: boolean;
  hasSales: boolean;
}

function List({ orders, isStale, hasSales }: ListProps) {
  const [openId, setOpenId] = useState("");
  const [toRefund, setToRefund] = useState<AdminOrder | null>(null);
  const product: Column<AdminOrder> = {
    key: "sale",
    name: t("orders.sale"),
    cell: (order) => <bdi className="[overflow-wrap:anywhere]">{order.product ?? "–"}</bdi>,
  };
  const columns: Column<AdminOrder>[] = [
    { key: "buyer", name: t("orders.buyer"), cell: (order) => <Who buyer={order.buyer} /> },
    ...(hasSales ? [product] : []),
    {
      key: "made",
      name: t("orders.made"),
      cell: (order) => <time dateTime={order.createdAt}>{formatExact(order.createdAt, locale())}</time>,
    },
    {
      key: "units",
      name: t("orders.units"),
      isFigure: true,
      cell: (order) => new Intl.NumberFormat(locale()).format(order.quantity),
    },
    {
      key: "total",
      name: t("orders.total"),
      isFigure: true,
      cell: (order) => formatMoney(order.total, locale()),
    },
    { key: "status", name: t("orders.status"), cell: (order) => <Status status={order.status} /> },
    {
      key: "details",
      name: t("orders.details"),
      cell: (order) => (
        <button
          type="button"
          className="text-link justify-self-start md:py-1 md:-my-1"
          aria-expanded={order.id === openId}
          onClick={() => setOpenId(order.id === openId ? "" : order.id)}
        >
          {order.id === openId ? t("orders.hide") : t("orders.show")}
          <span className="sr-only"> {t("orders.number", { id: order.id.slice(-12) })}</span>
        </button>
      ),
    },
  ];
  return (
    <>
      {orders.length > 0 && (
        <Table
          caption={t("orders.title")}
          columns={columns}
          rows={orders}
          keyOf={(order) => order.id}
          isStale={isStale}
          more={(order) =>
            order.id === openId && <Details order={order} onRefund={() => setToRefund(order)} />
          }
        />
      )}
      {toRefund && <RefundDialog order={toRefund} onClose={() => setToRefund(null)} />}
    </>
  );
}

function Status({ status }: { status: Order["status"] }) {
  const isAlive = status === "pending" || status === "confirmed";
  return (
    <span data-order-status={status} className={`font-semibold ${isAlive ? "text-good" : "text-soft"}`}>
      {t(`orders.status.${status}`)}
    </span>
  );
}
