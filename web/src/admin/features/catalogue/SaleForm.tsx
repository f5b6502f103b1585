// The form of a sale: its fields, what is wrong beside them, and what it all comes to in words.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import type { Sale } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { locale } from "../../../lib/i18n";
import { formatMoney } from "../../../lib/money";
import { useServerNow } from "../../../lib/useServerTime";
import { useSubmitOnce } from "../../../lib/useSubmitOnce";
import { Choice, Field, Part } from "../../components/Fields";
import { Why } from "../../components/Why";
import { type Draft, refusedFields, useDraft } from "../../lib/draft";
import { type AdminSale, adminKeys, type Product, refreshSales } from "../../lib/queries";
import { t } from "../../lib/texts";
import { suggestSlug } from "../../lib/typed";
import { localZone, zoneName } from "../../lib/zone";
import { planWords } from "./planWords";
import { editSale, makeSale } from "./saleDeeds";
import {
  bodyOf,
  check,
  comesTwice,
  editOf,
  isLocked,
  POINTERS,
  read,
  type SaleField,
  type SaleValues,
  type Scene,
  valuesOf,
} from "./saleDraft";

interface Props {
  /** The sale that is edited; `null` for a new one. */
  sale: AdminSale | null;
  start: SaleValues;
  products: Product[];
  /** Names that other sales have. */
  taken: ReadonlySet<string>;
}

export function SaleForm({ sale, start, products, taken }: Props) {
  const queries = useQueryClient();
  const [, go] = useLocation();
  const now = useServerNow();
  const [isSaved, setSaved] = useState(false);
  const priceOf = (productId: string) =>
    products.find(({ id }) => id === productId)?.price ??
    (sale?.product.id === productId ? sale.listPrice : null);
  const sceneOf = (values: SaleValues): Scene => ({
    zone: localZone(),
    locale: locale(),
    nowMs: now,
    currency: priceOf(values.productId)?.currency ?? null,
    sale,
  });
  const save = useSubmitOnce<AdminSale | Sale, SaleValues>({
    mutationFn: (values) => {
      const scene = sceneOf(values);
      return sale === null
        ? makeSale(bodyOf(values, scene))
        : editSale(sale.id, editOf(values, draft.begun, scene));
    },
    onSuccess: (saved) => {
      void refreshSales(queries);
      if (sale === null) {
        go(`/admin/sales/${saved.id}`);
      } else if ("payment" in saved) {
        queries.setQueryData(adminKeys.sale(saved.id), saved);
        draft.restart(valuesOf(saved, sceneOf(draft.values)));
        setSaved(true);
      }
    },
    // A refusal may mean that the sale is not what this page takes it for any more.
    onError: () => void queries.invalidateQueries({ queryKey: adminKeys.sale(sale?.id ?? "") }),
  });
  const refused = refusedFields(save.error, POINTERS);
  if (save.error instanceof ApiError && save.error.code === "slug_taken") {
    refused.fields.slug = { key: "form.slug_taken" };
  }
  const draft: Draft<SaleField> = useDraft(
    start,
    (values) => check(values, sceneOf(values)),
    refused.fields,
    save.error,
    sale !== null,
  );
  const { values } = draft;
  const scene = sceneOf(values);
  const listPrice = priceOf(values.productId);
  const plan = read(values, scene);
  const of = (name: SaleField) => ({ draft, name, isLocked: isLocked(name, sale, now) });
  const isOver = sale?.status === "ended" || sale?.status === "closed";
  const choose = (productId: string) => {
    const product = products.find(({ id }) => id === productId);
    const before = products.find(({ id }) => id === values.productId);
    const wasSuggested = values.slug === "" || (before && values.slug === suggestSlug(before.name, taken));
    const isSuggested = sale === null && product !== undefined && wasSuggested;
    draft.set({ productId, ...(isSuggested ? { slug: suggestSlug(product.name, taken) } : {}) });
  };
  return (
    <form
      ref={draft.form}
      noValidate
      className="grid items-start gap-6 lg:grid-cols-[minmax(0,1fr)_22rem]"
      onChange={() => setSaved(false)}
      onSubmit={(event) => draft.send(event, () => save.submit(values))}
    >
      <div className="grid gap-6">
        <Part title={t("form.what")}>
          <Field {...of("productId")} label={t("form.product")} onChange={choose}>
            {(input) => (
              <select {...input}>
                <option value="">{t("form.product_none")}</option>
                {sale && !products.some(({ id }) => id === sale.product.id) && (
                  <option value={sale.product.id}>{sale.product.name}</option>
                )}
                {products.map(({ id, name, price }) => (
                  <option key={id} value={id}>
                    {`${name} (${formatMoney(price, locale())})`}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field
            {...of("slug")}
            label={t("form.slug")}
            hint={t("form.slug_hint", { address: leftToRight(`${location.host}/s/${values.slug.trim()}`) })}
          >
            {(input) => (
              <input {...input} autoComplete="off" autoCapitalize="none" spellCheck={false} dir="ltr" />
            )}
          </Field>
          <div className="grid gap-5 sm:grid-cols-3">
            <Field
              {...of("price")}
              label={
                scene.currency === null ? t("form.price") : t("form.price_in", { currency: scene.currency })
              }
              hint={
                plan.price === null
                  ? t("form.price_hint")
                  : t("form.price_read", { price: formatMoney(plan.price, locale()) })
              }
            >
              {(input) => <input {...input} inputMode="decimal" autoComplete="off" />}
            </Field>
            <Field {...of("quantity")} label={t("form.quantity")}>
              {(input) => <input {...input} inputMode="numeric" autoComplete="off" />}
            </Field>
            <Field {...of("limitPerBuyer")} label={t("form.limit")}>
              {(input) => <input {...input} inputMode="numeric" autoComplete="off" />}
            </Field>
          </div>
        </Part>
        <Part title={t("form.when")}>
          <p className="text-sm text-soft">
            {t("form.zone", { zone: zoneName(scene.zone, plan.startsMs ?? now, locale()) })}
          </p>
          <div className="grid gap-5 sm:grid-cols-2">
            {(["startsAt", "endsAt"] as const).map((name) => (
              <Field
                key={name}
                {...of(name)}
                label={t(name === "startsAt" ? "form.starts" : "form.ends")}
                hint={comesTwice(values, name, scene) && t("form.time_twice")}
              >
                {(input) => (
                  // With a year of four digits, the cursor goes on by itself.
                  <input {...input} type="datetime-local" max="9999-12-29T23:59" />
                )}
              </Field>
            ))}
          </div>
        </Part>
        <Part title={t("form.who")}>
          <Choice
            {...of("admission")}
            label={t("form.admission")}
            options={[
              { value: "fifo", label: t("form.fifo"), hint: t("form.fifo_hint") },
              { value: "open", label: t("form.open"), hint: t("form.open_hint") },
            ]}
          />
          {values.admission === "fifo" && (
            <div className="grid gap-5 sm:grid-cols-2">
              <Field {...of("perSecond")} label={t("form.per_second")} hint={t("form.per_second_hint")}>
                {(input) => <input {...input} inputMode="numeric" autoComplete="off" />}
              </Field>
              <Field {...of("checkoutSeconds")} label={t("form.checkout")} hint={t("form.checkout_hint")}>
                {(input) => <input {...input} inputMode="numeric" autoComplete="off" />}
              </Field>
              <Field
                {...of("lineOpensSecondsBefore")}
                label={t("form.line_opens")}
                hint={t("form.line_opens_hint")}
              >
                {(input) => <input {...input} inputMode="numeric" autoComplete="off" />}
              </Field>
              <Field {...of("extensionSeconds")} label={t("form.extension")} hint={t("form.extension_hint")}>
                {(input) => <input {...input} inputMode="numeric" autoComplete="off" />}
              </Field>
            </div>
          )}
        </Part>
        <Part title={t("form.pay")}>
          <Choice
            {...of("payment")}
            label={t("form.payment")}
            options={[
              { value: "required", label: t("form.paid"), hint: t("form.paid_hint") },
              { value: "none", label: t("form.free"), hint: t("form.free_hint") },
            ]}
          />
          {values.payment !== "none" && (
            <Field
              {...of("holdSeconds")}
              label={t("form.hold")}
              hint={t("form.hold_hint")}
              className="max-w-xs"
            >
              {(input) => <input {...input} inputMode="numeric" autoComplete="off" />}
            </Field>
          )}
        </Part>
      </div>
      <aside className="grid gap-5 lg:sticky lg:top-6">
        <Part title={t("plan.title")}>
          <ul className="grid list-disc gap-2 ps-5 marker:text-soft">
            {planWords({ ...plan, listPrice, status: sale?.status ?? null }, now, t, locale()).map(
              (words) => (
                <li key={words}>{words}</li>
              ),
            )}
          </ul>
        </Part>
        <Why error={save.error} rest={refused.rest} unsure={t("form.unsure")} />
        {!isOver && (
          <button type="submit" className="button button-main" aria-disabled={save.isPending}>
            {save.isPending ? t("form.saving") : t(sale === null ? "form.announce" : "form.save")}
          </button>
        )}
        <p role="status" className={isSaved ? "font-semibold text-good" : "sr-only"}>
          {isSaved && t("form.saved")}
        </p>
      </aside>
    </form>
  );
}

/** An address inside a text that may read the other way. */
function leftToRight(text: string): string {
  return `\u2066${text}\u2069`;
}
