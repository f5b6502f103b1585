// Creates, edits or deletes a product.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { LoadError } from "../../../components/Notices";
import { ProductImage } from "../../../components/ProductImage";
import { client, type Product, unwrapReply } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { useSubmitWithKey } from "../../../lib/useSubmitWithKey";
import { useTitle } from "../../../lib/useTitle";
import { AdminNotFound } from "../../components/AdminNotFound";
import { Field, Fieldset } from "../../components/FormFields";
import { FormSubmit } from "../../components/FormSubmit";
import { PageHeader } from "../../components/PageHeader";
import { adminKeys, refreshSales } from "../../lib/adminCache";
import { readServerErrors, useDraft } from "../../lib/formDraft";
import { parsePrice } from "../../lib/parseFields";
import { t } from "../../lib/texts";
import { listCurrencies } from "./currencies";
import { DeleteProductDialog } from "./DeleteProductDialog";
import {
  isImageUrl,
  PRODUCT_POINTERS,
  type ProductValues,
  productBody,
  productChanges,
  productValues,
  validateProduct,
} from "./productDraft";
import { useProduct, useProducts } from "./queries";

/** The currency of the first product. */
const DEFAULT_CURRENCY = "EUR";

export function ProductPage({ id }: { id?: string }) {
  const single = useProduct(id ?? null);
  const all = useProducts();
  useTitle(single.data?.name ?? t(id === undefined ? "product.new" : "nav.products"));
  const isPending = id === undefined ? all.isPending : single.isPending;
  if (isPending) return <div className="skeleton h-96" aria-busy="true" />;
  if (id !== undefined && single.data === undefined) {
    return <LoadError error={single.error} onRetry={single.refetch} lost={<AdminNotFound />} />;
  }
  const currency = all.data?.[0]?.price.currency ?? DEFAULT_CURRENCY;
  return <ProductForm product={single.data ?? null} currency={currency} />;
}

function ProductForm({ product, currency }: { product: Product | null; currency: string }) {
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const [isDeleting, setDeleting] = useState(false);
  // Loaded when the field is left, not at each key.
  const [imageUrl, setImageUrl] = useState(product?.imageUrl ?? "");
  // After the creation of a product, its own page shows that it was saved.
  const [isSaved, setSaved] = useState(product !== null && history.state === "created");
  const save = useSubmitWithKey<Product, ProductValues>({
    operation: `product:${product?.id ?? "new"}`,
    send: (key, values) => {
      if (product === null) {
        const params = { header: { "Idempotency-Key": key } };
        const body = productBody(values, locale());
        return unwrapReply(client.POST("/api/v1/admin/products", { params, body }));
      }
      // A second edit changes nothing, so it needs no key.
      const params = { path: { id: product.id } };
      const body = productChanges(values, product, locale());
      return unwrapReply(client.PATCH("/api/v1/admin/products/{id}", { params, body }));
    },
    onSuccess: (saved) => {
      queries.setQueryData(adminKeys.product(saved.id), saved);
      void refreshSales(queries);
      if (product === null) navigate(`/admin/products/${saved.id}`, { replace: true, state: "created" });
      draft.restart(productValues(saved, currency, locale()));
      setSaved(true);
    },
  });
  const serverErrors = readServerErrors(save.error, PRODUCT_POINTERS);
  const draft = useDraft(
    productValues(product, currency, locale()),
    (values) => validateProduct(values, locale()),
    serverErrors.fields,
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
      <PageHeader title={product?.name ?? t("product.new")}>
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
      </PageHeader>
      <form
        ref={draft.form}
        noValidate
        className="grid items-start gap-6 lg:grid-cols-[minmax(0,1fr)_20rem]"
        onSubmit={(event) => draft.send(event, () => save.submit(values))}
      >
        <Fieldset title={t("product.part")}>
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
                  {listCurrencies(locale(), values.currency).map(({ code, name }) => (
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
                  setImageUrl(values.imageUrl.trim());
                }}
              />
            )}
          </Field>
        </Fieldset>
        <aside className="grid gap-5 lg:sticky lg:top-6">
          <ImagePreview key={imageUrl} url={imageUrl} name={values.name || t("product.new")} />
          <FormSubmit
            save={save}
            isSaved={isSaved}
            claims={serverErrors.claims}
            label={t(product === null ? "product.make" : "form.save")}
          />
        </aside>
      </form>
      {isDeleting && product !== null && (
        <DeleteProductDialog
          product={product}
          onCancel={() => setDeleting(false)}
          onDone={() => navigate("/admin/products")}
        />
      )}
    </>
  );
}

/** The picture as buyers see it, and whether it loads. */
function ImagePreview({ url, name }: { url: string; name: string }) {
  const [hasFailed, setFailed] = useState(false);
  const isShown = url !== "" && isImageUrl(url) && !hasFailed;
  return (
    <div className="grid gap-2">
      {isShown ? (
        <img
          src={url}
          alt=""
          referrerPolicy="no-referrer"
          className="aspect-[4/3] w-full rounded-xl object-cover"
          onError={() => setFailed(true)}
        />
      ) : (
        <ProductImage product={{ name }} />
      )}
      <p className={`text-sm ${hasFailed ? "font-semibold text-mark" : "text-soft"}`} role="status">
        {hasFailed ? t("product.image_broken") : t("product.preview")}
      </p>
    </div>
  );
}
