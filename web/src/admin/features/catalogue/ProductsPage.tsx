// All products, newest first.

import { useState } from "react";
import { Link } from "wouter";
import { LoadMore } from "../../../components/LoadMore";
import { LoadError } from "../../../components/Notices";
import { ProductImage } from "../../../components/ProductImage";
import type { Product } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { isolateText } from "../../../lib/isolateText";
import { formatMoney } from "../../../lib/money";
import { useTitle } from "../../../lib/useTitle";
import { AdminNotFound } from "../../components/AdminNotFound";
import { PageHeader } from "../../components/PageHeader";
import { t } from "../../lib/texts";
import { DeleteProductDialog } from "./DeleteProductDialog";
import { useProductPages } from "./queries";

export function ProductsPage() {
  useTitle(t("nav.products"));
  const query = useProductPages();
  const { data, error, isPending, refetch } = query;
  const [deleted, setDeleted] = useState<Product | null>(null);
  const [result, setResult] = useState("");
  const products = data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <PageHeader title={t("nav.products")}>
        <Link href="/admin/products/new" className="button button-main">
          {t("product.new")}
        </Link>
      </PageHeader>
      <p role="status" className={result === "" ? "sr-only" : "pb-4 text-good"}>
        {result}
      </p>
      {isPending && <div className="skeleton h-64" aria-busy="true" />}
      {!isPending && data === undefined && (
        <LoadError error={error} onRetry={refetch} lost={<AdminNotFound />} />
      )}
      {data !== undefined && products.length === 0 && (
        <p className="max-w-prose text-lg text-soft">{t("product.none")}</p>
      )}
      {products.length > 0 && (
        <ul className="divide-y divide-line rounded-xl border border-line bg-card">
          {products.map((product) => (
            <ProductRow key={product.id} product={product} onDelete={() => setDeleted(product)} />
          ))}
        </ul>
      )}
      <LoadMore query={query} text={t("list.more")} />
      {deleted !== null && (
        <DeleteProductDialog
          product={deleted}
          onCancel={() => setDeleted(null)}
          onDone={() => {
            setResult(t("product.deleted", { name: isolateText(deleted.name) }));
            setDeleted(null);
          }}
        />
      )}
    </>
  );
}

function ProductRow({ product, onDelete }: { product: Product; onDelete: () => void }) {
  const { id, name } = product;
  return (
    <li className="grid grid-cols-[4rem_minmax(0,1fr)] items-center gap-x-4 gap-y-2 px-4 py-3 sm:px-5 md:grid-cols-[4rem_minmax(0,1fr)_auto_auto] md:gap-x-6">
      <ProductImage product={product} className="rounded-md" />
      <div className="min-w-0">
        <h2 dir="auto" className="truncate text-lg rtl:text-right" title={name}>
          <Link href={`/admin/products/${id}`} className="hover:underline">
            <bdi>{name}</bdi>
          </Link>
        </h2>
        <p className="truncate text-sm text-soft">
          <bdi>{product.category ?? t("product.no_category")}</bdi>
        </p>
      </div>
      <p className="figure col-start-2 text-lg md:col-start-auto md:text-end">
        {formatMoney(product.price, locale())}
      </p>
      <p className="col-start-2 flex flex-wrap gap-x-4 text-sm md:col-start-auto">
        <Link
          href={`/admin/sales/new?product=${id}`}
          className="text-link py-2 md:py-1"
          aria-label={t("catalogue.link_of", { what: t("catalogue.new_sale"), name })}
        >
          {t("catalogue.new_sale")}
        </Link>
        <Link
          href={`/admin/products/${id}`}
          className="text-link py-2 md:py-1"
          aria-label={t("catalogue.link_of", { what: t("sale.edit"), name })}
        >
          {t("sale.edit")}
        </Link>
        <button
          type="button"
          className="text-link py-2 md:py-1"
          aria-label={t("catalogue.link_of", { what: t("product.delete"), name })}
          onClick={onDelete}
        >
          {t("product.delete")}
        </button>
      </p>
    </li>
  );
}
