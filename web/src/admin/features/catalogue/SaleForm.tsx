// The form of a sale: its fields with their errors, and a description of the plan.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { type AdminSale, client, type Product, unwrapReply } from "../../../lib/api";
import { ApiError } from "../../../lib/errors";
import { locale } from "../../../lib/i18n";
import { isolateText } from "../../../lib/isolateText";
import { formatMoney } from "../../../lib/money";
import { isSaleOver } from "../../../lib/saleStatus";
import { useFeatures } from "../../../lib/useFeatures";
import { useApproximateNow } from "../../../lib/useServerTime";
import { useSubmitWithKey } from "../../../lib/useSubmitWithKey";
import { Field, Fieldset, NumberField, RadioField } from "../../components/FormFields";
import { FormSubmit } from "../../components/FormSubmit";
import { adminKeys, refreshSales } from "../../lib/adminCache";
import { type FormDraft, readServerErrors, useDraft } from "../../lib/formDraft";
import { t } from "../../lib/texts";
import { describePlan } from "./describePlan";
import {
  type FormContext,
  isAmbiguousTime,
  isFieldLocked,
  isFieldShown,
  parseSale,
  SALE_POINTERS,
  type SaleField,
  type SaleValues,
  saleBody,
  saleChanges,
  saleValues,
  validateSale,
} from "./saleDraft";
import { suggestSlug } from "./slug";
import { describeZone, localZone } from "./timeZone";

interface Props {
  /** The edited sale; `null` for a new one. */
  sale: AdminSale | null;
  start: SaleValues;
  products: Product[];
  takenSlugs: ReadonlySet<string>;
}

export function SaleForm({ sale, start, products, takenSlugs }: Props) {
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const now = useApproximateNow();
  const [isSaved, setSaved] = useState(false);
  const hasMail = useFeatures()?.mail === true;
  const priceOf = (productId: string) =>
    products.find(({ id }) => id === productId)?.price ??
    (sale?.product.id === productId ? sale.listPrice : null);
  const contextFor = (values: SaleValues): FormContext => ({
    zone: localZone(),
    locale: locale(),
    nowMs: now,
    currency: priceOf(values.productId)?.currency ?? null,
    sale,
  });
  const save = useSubmitWithKey<AdminSale, SaleValues>({
    operation: `sale:${sale?.id ?? "new"}`,
    send: (key, values) => {
      const context = contextFor(values);
      if (sale === null) {
        const params = { header: { "Idempotency-Key": key } };
        const body = saleBody(values, context);
        return unwrapReply(client.POST("/api/v1/admin/flash-sales", { params, body }));
      }
      // A second edit changes nothing, so it needs no key.
      const params = { path: { id: sale.id } };
      const body = saleChanges(values, draft.initial, context);
      return unwrapReply(client.PATCH("/api/v1/admin/flash-sales/{id}", { params, body }));
    },
    onSuccess: (saved) => {
      void refreshSales(queries);
      if (sale === null) {
        navigate(`/admin/sales/${saved.id}`);
      } else {
        queries.setQueryData(adminKeys.sale(saved.id), saved);
        draft.restart(saleValues(saved, contextFor(draft.values)));
        setSaved(true);
      }
    },
    // The refusal may mean that the sale has changed since this page loaded it.
    onError: () => void queries.invalidateQueries({ queryKey: adminKeys.sale(sale?.id ?? "") }),
  });
  const [sent, setSent] = useState(start);
  const serverErrors = readServerErrors(
    save.error,
    SALE_POINTERS,
    (field) => isFieldShown(field, sent) && !isFieldLocked(field, sale, now),
  );
  if (save.error instanceof ApiError && save.error.code === "slug_taken") {
    serverErrors.fields.slug = { key: "form.slug_taken" };
  }
  const draft: FormDraft<SaleField> = useDraft(
    start,
    (values) => validateSale(values, contextFor(values)),
    serverErrors.fields,
    save.error,
    sale !== null,
  );
  const { values } = draft;
  const context = contextFor(values);
  const listPrice = priceOf(values.productId);
  const plan = parseSale(values, context);
  const fieldProps = (name: SaleField) => ({ draft, name, isLocked: isFieldLocked(name, sale, now) });
  const selectProduct = (productId: string) => {
    const product = products.find(({ id }) => id === productId);
    const before = products.find(({ id }) => id === values.productId);
    const wasSuggested =
      values.slug === "" || (before && values.slug === suggestSlug(before.name, takenSlugs));
    const isSuggested = sale === null && product !== undefined && wasSuggested;
    draft.set({ productId, ...(isSuggested ? { slug: suggestSlug(product.name, takenSlugs) } : {}) });
  };
  return (
    <form
      ref={draft.form}
      noValidate
      className="grid items-start gap-6 lg:grid-cols-[minmax(0,1fr)_22rem]"
      onChange={() => setSaved(false)}
      onSubmit={(event) =>
        draft.send(event, () => {
          setSent(values);
          save.submit(values);
        })
      }
    >
      <div className="grid gap-6">
        <Fieldset title={t("form.what")}>
          <Field {...fieldProps("productId")} label={t("form.product")} onChange={selectProduct}>
            {(input) => (
              <select {...input}>
                <option value="">{t("form.product_none")}</option>
                {sale && !products.some(({ id }) => id === sale.product.id) && (
                  <option value={sale.product.id}>{isolateText(sale.product.name)}</option>
                )}
                {products.map(({ id, name, price }) => (
                  <option key={id} value={id}>
                    {`${isolateText(name)} (${formatMoney(price, locale())})`}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field
            {...fieldProps("slug")}
            label={t("form.slug")}
            hint={t("form.slug_hint", {
              address: isolateLeftToRight(`${location.host}/s/${values.slug.trim()}`),
            })}
          >
            {(input) => (
              <input {...input} autoComplete="off" autoCapitalize="none" spellCheck={false} dir="ltr" />
            )}
          </Field>
          <div className="grid gap-5 sm:grid-cols-3">
            <Field
              {...fieldProps("price")}
              label={
                context.currency === null
                  ? t("form.price")
                  : t("form.price_in", { currency: context.currency })
              }
              hint={
                plan.price === null
                  ? t("form.price_hint")
                  : t("form.price_read", { price: formatMoney(plan.price, locale()) })
              }
            >
              {(input) => <input {...input} inputMode="decimal" autoComplete="off" />}
            </Field>
            <NumberField {...fieldProps("quantity")} label={t("form.quantity")} />
            <NumberField {...fieldProps("limitPerBuyer")} label={t("form.limit")} />
          </div>
          <RadioField
            {...fieldProps("limitBy")}
            label={t("form.limit_by")}
            options={[
              { value: "account", label: t("form.by_account"), hint: t("form.by_account_hint") },
              { value: "mailbox", label: t("form.by_mailbox"), hint: t("form.by_mailbox_hint") },
            ]}
          />
          {(hasMail || values.requireConfirmedEmail === "yes") && (
            <RadioField
              {...fieldProps("requireConfirmedEmail")}
              label={t("form.confirmed")}
              options={[
                { value: "no", label: t("form.confirmed_no"), hint: t("form.confirmed_no_hint") },
                { value: "yes", label: t("form.confirmed_yes"), hint: t("form.confirmed_hint") },
              ]}
            />
          )}
        </Fieldset>
        <Fieldset title={t("form.when")}>
          <p className="text-sm text-soft">
            {t("form.zone", { zone: describeZone(context.zone, plan.startsMs ?? now, locale()) })}
          </p>
          <div className="grid gap-5 sm:grid-cols-2">
            {(["startsAt", "endsAt"] as const).map((name) => (
              <Field
                key={name}
                {...fieldProps(name)}
                label={t(name === "startsAt" ? "form.starts" : "form.ends")}
                hint={isAmbiguousTime(values, name, context) && t("form.time_twice")}
              >
                {(input) => (
                  // The limit of the year makes the cursor move on after four digits.
                  <input {...input} type="datetime-local" max="9999-12-29T23:59" />
                )}
              </Field>
            ))}
          </div>
        </Fieldset>
        <Fieldset title={t("form.who")}>
          <RadioField
            {...fieldProps("admission")}
            label={t("form.admission")}
            options={[
              { value: "fifo", label: t("form.fifo"), hint: t("form.fifo_hint") },
              { value: "open", label: t("form.open"), hint: t("form.open_hint") },
            ]}
          />
          {values.admission === "fifo" && (
            <div className="grid gap-5 sm:grid-cols-2">
              <NumberField
                {...fieldProps("perSecond")}
                label={t("form.per_second")}
                hint={t("form.per_second_hint")}
              />
              <NumberField
                {...fieldProps("checkoutSeconds")}
                label={t("form.checkout")}
                hint={t("form.checkout_hint")}
              />
              <NumberField
                {...fieldProps("lineOpensSecondsBefore")}
                label={t("form.line_opens")}
                hint={t("form.line_opens_hint")}
              />
              <NumberField
                {...fieldProps("extensionSeconds")}
                label={t("form.extension")}
                hint={t("form.extension_hint")}
              />
            </div>
          )}
        </Fieldset>
        <Fieldset title={t("form.pay")}>
          <RadioField
            {...fieldProps("payment")}
            label={t("form.payment")}
            options={[
              { value: "required", label: t("form.paid"), hint: t("form.paid_hint") },
              { value: "none", label: t("form.free"), hint: t("form.free_hint") },
            ]}
          />
          {values.payment !== "none" && (
            <NumberField
              {...fieldProps("holdSeconds")}
              label={t("form.hold")}
              hint={t("form.hold_hint")}
              className="max-w-xs"
            />
          )}
        </Fieldset>
      </div>
      <aside className="grid gap-5 lg:sticky lg:top-6">
        <Fieldset title={t("plan.title")}>
          <ul className="grid list-disc gap-2 ps-5 marker:text-soft">
            {describePlan({ ...plan, listPrice, status: sale?.status ?? null }, now, t, locale()).map(
              (sentence) => (
                <li key={sentence}>{sentence}</li>
              ),
            )}
          </ul>
        </Fieldset>
        <FormSubmit
          save={save}
          isSaved={isSaved}
          claims={serverErrors.claims}
          claimedCodes={["slug_taken"]}
          label={isSaleOver(sale) ? null : t(sale === null ? "form.announce" : "form.save")}
        />
      </aside>
    </form>
  );
}

/** Isolates an address inside a text that may read from right to left. */
function isolateLeftToRight(text: string): string {
  return `\u2066${text}\u2069`;
}
