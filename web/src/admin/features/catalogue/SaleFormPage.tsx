// The page of the sale form, for a new sale, a copy or an edit. It loads what the form needs.

import { Link, useSearch } from "wouter";
import { LoadError, Notice } from "../../../components/Notices";
import { locale } from "../../../lib/i18n";
import { isSaleOver } from "../../../lib/saleStatus";
import { useApproximateNow } from "../../../lib/useServerTime";
import { useTitle } from "../../../lib/useTitle";
import { AdminNotFound } from "../../components/AdminNotFound";
import { PageHeader } from "../../components/PageHeader";
import { SaleControls } from "../../components/SaleControls";
import { SaleHeader } from "../../components/SaleHeader";
import { t } from "../../lib/texts";
import { useAdminSale, useProducts, useTakenSlugs } from "./queries";
import { SaleForm } from "./SaleForm";
import { copiedSaleValues, isPromised, newSaleValues, type SaleValues, saleValues } from "./saleDraft";
import { suggestSlug } from "./slug";
import { localZone } from "./timeZone";

export function SaleFormPage({ id }: { id?: string }) {
  const search = new URLSearchParams(useSearch());
  const from = search.get("from");
  const now = useApproximateNow();
  const sale = useAdminSale(id ?? from);
  const products = useProducts();
  const slugs = useTakenSlugs();
  const isNew = id === undefined;
  useTitle(isNew ? t("catalogue.new_sale") : `${sale.data?.product.name ?? ""} · ${t("sale.edit")}`);

  const needsSale = id !== undefined || from !== null;
  if (products.isPending || slugs.isPending || (needsSale && sale.isPending)) {
    return <div className="skeleton h-96" aria-busy="true" />;
  }
  if (needsSale && sale.data === undefined) {
    return <LoadError error={sale.error} onRetry={sale.refetch} lost={<AdminNotFound />} />;
  }
  if (products.data === undefined) {
    return <LoadError error={products.error} onRetry={products.refetch} lost={<AdminNotFound />} />;
  }
  const context = { zone: localZone(), locale: locale(), nowMs: now, currency: null, sale: null };
  const takenSlugs = slugs.data ?? new Set<string>();

  if (!isNew && sale.data !== undefined) {
    const isOver = isSaleOver(sale.data);
    return (
      <>
        <SaleHeader sale={sale.data}>
          <SaleControls sale={sale.data} />
        </SaleHeader>
        {(isOver || isPromised(sale.data, now)) && (
          <div className="pb-6">
            <Notice>
              {t(isOver ? "form.over" : "form.promised")}{" "}
              {isOver && (
                <Link href={`/admin/sales/new?from=${sale.data.id}`} className="text-link font-semibold">
                  {t("catalogue.duplicate")}
                </Link>
              )}
            </Notice>
          </div>
        )}
        <SaleForm
          sale={sale.data}
          start={saleValues(sale.data, context)}
          products={products.data}
          takenSlugs={takenSlugs}
        />
      </>
    );
  }
  const product = products.data.find(({ id }) => id === search.get("product"));
  const start: SaleValues = sale.data
    ? copiedSaleValues(sale.data, suggestSlug(sale.data.product.name, takenSlugs), context)
    : {
        ...newSaleValues(context),
        ...(product ? { productId: product.id, slug: suggestSlug(product.name, takenSlugs) } : {}),
      };
  return (
    <>
      <PageHeader title={t(sale.data ? "form.title_copy" : "catalogue.new_sale")} />
      {products.data.length === 0 && (
        <div className="pb-6">
          <Notice>
            {t("form.no_product")}{" "}
            <Link href="/admin/products/new" className="text-link font-semibold">
              {t("product.new")}
            </Link>
          </Notice>
        </div>
      )}
      <SaleForm sale={null} start={start} products={products.data} takenSlugs={takenSlugs} />
    </>
  );
}
