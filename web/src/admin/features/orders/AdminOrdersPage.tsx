// The orders of all sales, or of one: search, filters, export and refunds.

import { useState } from "react";
import type { Order } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { isolateText } from "../../../lib/isolateText";
import { formatMoney } from "../../../lib/money";
import { useTitle } from "../../../lib/useTitle";
import { BuyerCell } from "../../components/BuyerCell";
import { DateField, SearchField, SelectField } from "../../components/FilterFields";
import { PageHeader } from "../../components/PageHeader";
import { RecordList } from "../../components/RecordList";
import { type Column, RecordTable } from "../../components/RecordTable";
import { SaleFrame } from "../../components/SaleFrame";
import { t } from "../../lib/texts";
import { formatTimestamp } from "../../lib/timestamps";
import { type FilterBinding, type FilterState, useFilters } from "../../lib/useFilters";
import { useSaleOptions } from "../../lib/useSaleOptions";
import { adminStatusKey } from "./adminStatus";
import { ExportButton } from "./ExportButton";
import { ORDER_FILTERS, type OrderFilters } from "./filters";
import { OrderDetails } from "./OrderDetails";
import { type AdminOrder, useAdminOrders } from "./queries";
import { RefundDialog } from "./RefundDialog";

const STATUSES: Order["status"][] = ["pending", "confirmed", "expired", "cancelled", "declined", "refunded"];

export function AdminOrdersPage({ saleId }: { saleId?: string }) {
  if (saleId === undefined) return <AllOrders />;
  return (
    <SaleFrame id={saleId} title={t("orders.title")}>
      {() => <OrderList saleId={saleId} />}
    </SaleFrame>
  );
}

function AllOrders() {
  useTitle(t("orders.title"));
  return (
    <>
      <PageHeader title={t("orders.title")} />
      <OrderList />
    </>
  );
}

function OrderList({ saleId }: { saleId?: string }) {
  const filters = useFilters(ORDER_FILTERS);
  const applied = saleId === undefined ? filters.values : { ...filters.values, sale: saleId };
  const query = useAdminOrders(applied);
  const isAllSales = saleId === undefined;
  return (
    <>
      <OrderFilterFields filters={filters} isAllSales={isAllSales} />
      <ExportButton filters={applied} />
      <RecordList query={query} emptyText={t("orders.none")}>
        {(orders, isStale) => <OrderTable orders={orders} isStale={isStale} isAllSales={isAllSales} />}
      </RecordList>
    </>
  );
}

interface FilterProps {
  filters: FilterState<keyof OrderFilters>;
  isAllSales: boolean;
}

function OrderFilterFields({ filters, isAllSales }: FilterProps) {
  const { values, change, bind } = filters;
  const isFiltered = Object.values(values).some((value) => value !== "");
  return (
    <search className="flex flex-wrap items-start gap-4 pb-4">
      <SearchField filter={bind("q")} label={t("orders.search")} hint={t("orders.search_hint")} />
      <SelectField
        filter={bind("status")}
        label={t("orders.status")}
        options={[
          { value: "", text: t("orders.any") },
          ...STATUSES.map((value) => ({ value, text: t(`orders.status.${value}`) })),
        ]}
      />
      {isAllSales && <SaleFilter filter={bind("sale")} />}
      <DateField filter={bind("from")} label={t("orders.from")} />
      <DateField filter={bind("to")} label={t("orders.to")} />
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

function SaleFilter({ filter }: { filter: FilterBinding }) {
  const { data } = useSaleOptions();
  const sales = data?.items.map((sale) => ({
    value: sale.id,
    text: `${isolateText(sale.product.name)} (${sale.slug})`,
  }));
  return (
    <SelectField
      filter={filter}
      label={t("orders.sale")}
      options={[{ value: "", text: t("orders.any_sale") }, ...(sales ?? [])]}
    />
  );
}

interface TableProps {
  orders: AdminOrder[];
  isStale: boolean;
  isAllSales: boolean;
}

function OrderTable({ orders, isStale, isAllSales }: TableProps) {
  const [openId, setOpenId] = useState("");
  const [refundedOrder, setRefundedOrder] = useState<AdminOrder | null>(null);
  const product: Column<AdminOrder> = {
    key: "sale",
    name: t("orders.sale"),
    cell: (order) => <bdi className="[overflow-wrap:anywhere]">{order.product ?? "–"}</bdi>,
  };
  const columns: Column<AdminOrder>[] = [
    { key: "buyer", name: t("orders.buyer"), cell: (order) => <BuyerCell buyer={order.buyer} /> },
    ...(isAllSales ? [product] : []),
    {
      key: "made",
      name: t("orders.made"),
      cell: (order) => <time dateTime={order.createdAt}>{formatTimestamp(order.createdAt, locale())}</time>,
    },
    {
      key: "units",
      name: t("orders.units"),
      isNumeric: true,
      cell: (order) => new Intl.NumberFormat(locale()).format(order.quantity),
    },
    {
      key: "total",
      name: t("orders.total"),
      isNumeric: true,
      cell: (order) => formatMoney(order.total, locale()),
    },
    { key: "status", name: t("orders.status"), cell: (order) => <OrderStatus order={order} /> },
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
      <RecordTable
        caption={t("orders.title")}
        columns={columns}
        rows={orders}
        keyOf={(order) => order.id}
        isStale={isStale}
        details={(order) =>
          order.id === openId && <OrderDetails order={order} onRefund={() => setRefundedOrder(order)} />
        }
      />
      {refundedOrder && <RefundDialog order={refundedOrder} onClose={() => setRefundedOrder(null)} />}
    </>
  );
}

function OrderStatus({ order }: { order: AdminOrder }) {
  const { status } = order;
  const isOpen = status === "pending" || status === "confirmed";
  return (
    <span data-order-status={status} className={`font-semibold ${isOpen ? "text-good" : "text-soft"}`}>
      {t(adminStatusKey(order))}
    </span>
  );
}
