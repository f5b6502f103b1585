// A new sale, a copy of an old one, or one that is edited: what the form needs is fetched here.

import { Link, useSearch } from "wouter";
import { LoadError, Notice } from "../../../components/Notices";
import { locale } from "../../../lib/i18n";
import { useServerNow } from "../../../lib/useServerTime";
import { useTitle } from "../../../lib/useTitle";
import { Controls } from "../../components/Controls";
import { PageHead } from "../../components/Frame";
import { SaleHead } from "../../components/SaleHead";
import { useAdminSale, useProducts, useTakenSlugs } from "../../lib/queries";
import { t } from "../../lib/texts";
import { suggestSlug } from "../../lib/typed";
import { localZone } from "../../lib/zone";
import { SaleForm } from "./SaleForm";
import { blank, copyOf, isPromised, type SaleValues, valuesOf } from "./saleDraft";

export function SaleFormPage({ id }: { id?: string }) {
  const search = new URLSearchParams(useSearch());
  const from = search.get("from");
  const now = useServerNow();
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
    return <LoadError error={sale.error} onRetry={() => void sale.refetch()} />;
  }
  if (products.data === undefined) {
    return <LoadError error={products.error} onRetry={() => void products.refetch()} />;
  }
  const scene = { zone: localZone(), locale: locale(), nowMs: now, currency: null, sale: null };
  const taken = slugs.data ?? new Set<string>();

  if (!isNew && sale.data !== undefined) {
    const isOver = sale.data.status === "ended" || sale.data.status === "closed";
    return (
      <>
        <SaleHead sale={sale.data}>
          <Controls sale={sale.data} />
        </SaleHead>
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
          start={valuesOf(sale.data, scene)}
          products={products.data}
          taken={taken}
        />
      </>
    );
  }
  const known = products.data.find((product) => product.id === search.get("product"));
  const start: SaleValues = sale.data
    ? copyOf(sale.data, suggestSlug(sale.data.product.name, taken), scene)
    : { ...blank(scene), ...(known ? { productId: known.id, slug: suggestSlug(known.name, taken) } : {}) };
  return (
    <>
      <PageHead title={t(sale.data ? "form.title_copy" : "catalogue.new_sale")} />
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
      <SaleForm sale={null} start={start} products={products.data} taken={taken} />
    </>
  );
}
