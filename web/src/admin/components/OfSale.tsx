// A page about one sale: its head, once the sale is known.

import type { ReactNode } from "react";
import { LoadError } from "../../components/Notices";
import type { Sale } from "../../lib/api";
import { useSale } from "../../lib/useSale";
import { useTitle } from "../../lib/useTitle";
import { SaleHead } from "./SaleHead";

interface Props {
  id: string;
  /** What the page is about, for the tab and for those who listen. */
  title: string;
  children: (sale: Sale) => ReactNode;
}

export function OfSale({ id, title, children }: Props) {
  const { data: sale, error, isPending, refetch } = useSale(id);
  useTitle(sale === undefined ? title : `${title} · ${sale.product.name}`);
  if (isPending) return <div className="skeleton h-64" aria-busy="true" />;
  if (sale === undefined) return <LoadError error={error} onRetry={() => void refetch()} />;
  return (
    <>
      <SaleHead sale={sale} />
      <h2 className="sr-only">{title}</h2>
      {children(sale)}
    </>
  );
}
