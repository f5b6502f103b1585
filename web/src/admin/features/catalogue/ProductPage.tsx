// One product: making it, editing it, and the way from it to a sale.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { LoadError } from "../../../components/Notices";
import { ProductImage } from "../../../components/ProductImage";
import { client, unwrapReply } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { retryTransient } from "../../../lib/retry";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { useTitle } from "../../../lib/useTitle";
import { Field, Part } from "../../components/Fields";
import { PageHead } from "../../components/Frame";
import { Why } from "../../components/Why";
import { currencies } from "../../lib/currencies";
import { refusedFields, useDraft } from "../../lib/draft";
import { adminKeys, type Product, refreshSales, useProduct, useProducts } from "../../lib/queries";
import { t } from "../../lib/texts";
import { parsePrice } from "../../lib/typed";
import { DeleteProduct } from "./DeleteProduct";
import { bodyOf, check, editOf, isAddress, POINTERS, type ProductValues, valuesOf } from "./productDraft";

/** Where no product says what the shop sells in. */
const CURRENCY_DEFAULT = "EUR";

export function ProductPage({ id }: { id?: string }) {
  const one = useProduct(id ?? null);
  const all = useProducts();
  useTitle(one.data?.name ?? t(id === undefined ? "product.new" : "nav.products"));
  const isPending = id === undefined ? all.isPending : one.isPending;
  if (isPending) return <div className="skeleton h-96" aria-busy="true" />;
  if (id !== undefined && one.data === undefined) {
    return <LoadError error={one.error} onRetry={() => void one.refetch()} />;
  }
  const currency = all.data?.[0]?.price.currency ?? CURRENCY_DEFAULT;
  return <ProductForm product={one.data ?? null} currency={currency} />;
}

function ProductForm({ product, currency }: { product: Product | null; currency: string }) {
  const queries = useQueryClient();
  const [, go] = useLocation();
  const [isDeleting, setDeleting] = useState(false);
  // Fetched when its address is complete, not at each letter of it.
  const [pictured, setPictured] = useState(product?.imageUrl ?? "");
  // A product that was just made says so on its own page, where making it has led.
  const [isSaved, setSaved] = useState(product !== null && history.state === "made");
  const save = useSubmitOnce({
    mutationFn: (values: ProductValues) => {
      if (product === null) {
        return unwrapReply(client.POST("/api/v1/admin/products", { body: bodyOf(values, locale()) }));
      }
      const params = { path: { id: product.id } };
      const body = editOf(values, product, locale());
      return retryTransient(() => unwrapReply(client.PATCH("/api/v1/admin/products/{id}", { params, body })));
    },
    onSuccess: (saved) => {
      queries.setQueryData(adminKeys.product(saved.id), saved);
      void refreshSales(queries);
      if (product === null) go(`/admin/products/${saved.id}`, { replace: true, state: "made" });
      draft.restart(valuesOf(saved, currency, locale()));
      setSaved(true);
    },
  });
  const refused = refusedFields(save.error, POINTERS);
  const draft = useDraft(
    valuesOf(product, currency, locale()),
    (values) => check(values, locale()),
    refused.fields,
    save.error,
  );
  const { values } = draft;
  const amount = parsePrice(values.price, values.currency, locale());
  const edit = (changes: Partial<ProductValues>) => {
    setSaved(false);
    draft.set(changes);
  };
  return (
    <>
      <PageHead title={product?.name ?? t("product.new")}>
        {product !== null && (
          <>
            <Link href={`/admin/sales/new?product=${product.id}`} className="button button-quiet">
              {t("catalogue.new_sale")}
            </Link>
            <button type="button" className="button button-quiet" onClick={() => setDeleting(true)}>
              {t("product.delete")}
            </button>
          </>
        )}
      </PageHead>
      <form
        ref={draft.form}
        noValidate
        className="grid items-start gap-6 lg:grid-cols-[minmax(0,1fr)_20rem]"
        onSubmit={(event) => draft.send(event, () => save.submit(values))}
      >
        <Part title={t("product.part")}>
          <Field draft={draft} name="name" label={t("product.name")} onChange={(name) => edit({ name })}>
            {(input) => <input {...input} autoComplete="off" dir="auto" />}
          </Field>
          <Field
            draft={draft}
            name="description"
            label={t("product.description")}
            hint={t("product.description_hint")}
            onChange={(description) => edit({ description })}
          >
            {(input) => <textarea {...input} rows={5} dir="auto" />}
          </Field>
          <div className="grid gap-5 sm:grid-cols-2">
            <Field
              draft={draft}
              name="price"
              label={t("product.price")}
              hint={
                amount === null
                  ? t("product.price_hint")
                  : t("form.price_read", {
                      price: formatMoney({ amount, currency: values.currency }, locale()),
                    })
              }
              onChange={(price) => edit({ price })}
            >
              {(input) => <input {...input} inputMode="decimal" autoComplete="off" />}
            </Field>
            <Field
              draft={draft}
              name="currency"
              label={t("product.currency")}
              onChange={(currency) => edit({ currency })}
            >
              {(input) => (
                <select {...input}>
                  {currencies(locale(), values.currency).map(({ code, name }) => (
                    <option key={code} value={code}>
                      {`${code} – ${name}`}
                    </option>
                  ))}
                </select>
              )}
            </Field>
          </div>
          <Field
            draft={draft}
            name="category"
            label={t("product.category")}
            hint={t("form.optional")}
            onChange={(category) => edit({ category })}
          >
            {(input) => <input {...input} autoComplete="off" dir="auto" />}
          </Field>
          <Field
            draft={draft}
            name="imageUrl"
            label={t("product.image")}
            hint={t("product.image_hint")}
            onChange={(imageUrl) => edit({ imageUrl })}
          >
            {(input) => (
              <input
                {...input}
                type="url"
                autoComplete="off"
                dir="ltr"
                onBlur={() => {
                  input.onBlur();
                  setPictured(values.imageUrl.trim());
                }}
              />
            )}
          </Field>
        </Part>
        <aside className="grid gap-5 lg:sticky lg:top-6">
          <Picture
            key={pictured}
            url={pictured}
            name={values.name || t("product.new")}
            id={product?.id ?? ""}
          />
          <Why error={save.error} rest={refused.rest} unsure={t("product.unsure")} />
          <button type="submit" className="button button-main" aria-disabled={save.isPending}>
            {save.isPending ? t("form.saving") : t(product === null ? "product.make" : "form.save")}
          </button>
          <p role="status" className={isSaved ? "font-semibold text-good" : "sr-only"}>
            {isSaved && t("form.saved")}
          </p>
        </aside>
      </form>
      {isDeleting && product !== null && (
        <DeleteProduct
          product={product}
          onCancel={() => setDeleting(false)}
          onDone={() => go("/admin/products")}
        />
      )}
    </>
  );
}

/** How buyers will see the picture, and whether they can. */
function Picture({ url, name, id }: { url: string; name: string; id: string }) {
  const [isBroken, setBroken] = useState(false);
  const isShown = url !== "" && isAddress(url) && !isBroken;
  return (
    <div className="grid gap-2">
      {isShown ? (
        <img
          src={url}
          alt=""
          referrerPolicy="no-referrer"
          className="aspect-[4/3] w-full rounded-xl object-cover"
          onError={() => setBroken(true)}
        />
      ) : (
        <ProductImage product={{ id, name, description: "" }} />
      )}
      <p className={`text-sm ${isBroken ? "font-semibold text-mark" : "text-soft"}`} role="status">
        {isBroken
          ? t(url.startsWith("http:") ? "product.image_http" : "product.image_broken")
          : t("product.preview")}
      </p>
    </div>
  );
}
