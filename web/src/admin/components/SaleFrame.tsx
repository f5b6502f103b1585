// The frame of an admin page about one sale: loading, error, and the header of the sale.

import type { ReactNode } from "react";
import { LoadError } from "../../components/Notices";
import type { Sale } from "../../lib/api";
import { useSale } from "../../lib/useSale";
import { useTitle } from "../../lib/useTitle";
import { AdminNotFound } from "./AdminNotFound";
import { SaleHeader } from "./SaleHeader";

interface Props {
  id: string;
  /** For the tab and for screen readers; it is not visible on the page. */
  title: string;
  children: (sale: Sale) => ReactNode;
}

export function SaleFrame({ id, title, children }: Props) {
  const { data: sale, error, isPending, refetch } = useSale(id);
  useTitle(sale === undefined ? title : `${title} · ${sale.product.name}`);
  if (isPending) return <div className="skeleton h-64" aria-busy="true" />;
  if (sale === undefined) return <LoadError error={error} onRetry={refetch} lost={<AdminNotFound />} />;
  return (
    <>
      <SaleHeader sale={sale} />
      <h2 className="sr-only">{title}</h2>
      {children(sale)}
    </>
  );
}
