// The header of every admin page about one sale: product, status, actions and tabs.

import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import type { Sale } from "../../lib/api";
import { type AdminTextKey, t } from "../lib/texts";
import { PageHeader } from "./PageHeader";

const TABS: { page: string; text: AdminTextKey }[] = [
  { page: "", text: "sale.board" },
  { page: "/line", text: "sale.line" },
  { page: "/orders", text: "sale.orders" },
  { page: "/attempts", text: "sale.attempts" },
  { page: "/ledger", text: "sale.ledger" },
  { page: "/summary", text: "sale.summary" },
  { page: "/edit", text: "sale.edit" },
];

export function SaleHeader({ sale, children }: { sale: Sale; children?: ReactNode }) {
  const [path] = useLocation();
  const tabs = TABS.filter(({ page }) => page !== "/line" || sale.admission.type === "fifo");
  return (
    <>
      <PageHeader title={sale.product.name}>
        <SaleStatusBadge sale={sale} />
        {children}
      </PageHeader>
      <nav aria-label={t("sale.tabs")} className="tabs -mx-1 mb-6 border-b border-line md:mb-8">
        {tabs.map(({ page, text }) => {
          const href = `/admin/sales/${sale.id}${page}`;
          return (
            <Link
              key={page}
              href={href}
              aria-current={path === href ? "page" : undefined}
              className="tab px-3 py-3"
            >
              {t(text)}
            </Link>
          );
        })}
      </nav>
    </>
  );
}

export function SaleStatusBadge({ sale }: { sale: Sale }) {
  const isRunning = sale.status === "active";
  return (
    <span
      data-status={sale.status}
      className={`self-center rounded-full border px-3 py-1 text-sm font-semibold ${isRunning ? "border-good text-good" : "border-soft text-soft"}`}
    >
      {t(`sale.status.${sale.status}`)}
    </span>
  );
}
