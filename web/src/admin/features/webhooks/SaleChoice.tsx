// The sales whose events an endpoint gets: all of them, or chosen ones by the names of their products.

import { useId, useState } from "react";
import type { Sale } from "../../../lib/api";
import { locale } from "../../../lib/i18n";
import { formatDateTime } from "../../../lib/time";
import { CheckField } from "../../components/CheckField";
import { FormError } from "../../components/FormError";
import type { FormDraft } from "../../lib/formDraft";
import { t } from "../../lib/texts";
import { useSaleOptions } from "../../lib/useSaleOptions";
import {
  ALL_SALES,
  sortChosenFirst,
  splitChoice,
  toggleChoice,
  unlistedSales,
  type WebhookField,
} from "./webhookDraft";

/** With more sales than this, a field finds one by its name. */
const SEARCH_FROM = 8;

interface Props {
  draft: FormDraft<WebhookField>;
  onChange: (sales: string) => void;
}

export function SaleChoice({ draft, onChange }: Props) {
  const id = useId();
  const value = draft.values.sales;
  const isAll = value === ALL_SALES;
  const error = draft.errorOf("sales");
  return (
    <fieldset className="grid gap-3" aria-describedby={error === null ? undefined : `${id}-error`}>
      <legend className="pb-1 font-semibold">{t("webhook.sales")}</legend>
      <CheckField
        label={t("webhook.all_sales")}
        hint={t("webhook.all_sales_hint")}
        isChecked={isAll}
        isInvalid={error !== null}
        onChange={(isChecked) => onChange(isChecked ? ALL_SALES : "")}
      />
      {!isAll && <SaleList value={value} onChange={onChange} />}
      {error !== null && (
        <p id={`${id}-error`} className="text-sm font-semibold text-mark">
          {error}
        </p>
      )}
    </fieldset>
  );
}

function SaleList({ value, onChange }: { value: string; onChange: (sales: string) => void }) {
  const id = useId();
  const [search, setSearch] = useState("");
  // Those of the moment when the list is opened: a row does not move when it is clicked.
  const [chosenBefore] = useState(() => splitChoice(value));
  const { data, error, isPending } = useSaleOptions();
  if (isPending) return <div className="skeleton h-24" aria-busy="true" />;
  const sales = sortChosenFirst(data?.items ?? [], chosenBefore);
  const chosen = splitChoice(value);
  const toggle = (sale: string) => onChange(toggleChoice(value, sale));
  const unlisted = data === undefined ? chosen : unlistedSales(value, sales);
  const shown = sales.filter((sale) => chosen.includes(sale.id) || isNamed(sale, search));
  return (
    <div className="grid gap-3">
      <FormError error={error} />
      {sales.length > SEARCH_FROM && (
        <div className="grid gap-1">
          <label htmlFor={id} className="text-sm font-semibold">
            {t("webhook.sale_search")}
          </label>
          <input
            id={id}
            type="search"
            className="field"
            dir="auto"
            autoComplete="off"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
            // The form is sent by its button.
            onKeyDown={(event) => event.key === "Enter" && event.preventDefault()}
          />
        </div>
      )}
      {data !== undefined && sales.length === 0 && <p className="text-soft">{t("webhook.sales_missing")}</p>}
      <ul className="grid max-h-80 gap-1 overflow-y-auto rounded-lg border border-line px-4 py-2 empty:hidden">
        {unlisted.map((sale) => (
          <li key={sale}>
            <CheckField
              label={
                <code dir="ltr" className="[overflow-wrap:anywhere]">
                  {sale}
                </code>
              }
              hint={data === undefined ? undefined : t("webhook.sale_unlisted")}
              isChecked
              onChange={() => toggle(sale)}
            />
          </li>
        ))}
        {shown.map((sale) => (
          <li key={sale.id}>
            <CheckField
              label={<bdi className="[overflow-wrap:anywhere]">{sale.product.name}</bdi>}
              hint={
                <>
                  <bdi dir="ltr">{sale.slug}</bdi> · {formatDateTime(sale.startsAt, locale())}
                </>
              }
              isChecked={chosen.includes(sale.id)}
              onChange={() => toggle(sale.id)}
            />
          </li>
        ))}
      </ul>
      {shown.length === 0 && sales.length > 0 && (
        <p role="status" className="text-soft">
          {t("webhook.sales_not_found")}
        </p>
      )}
    </div>
  );
}

function isNamed(sale: Sale, search: string): boolean {
  const text = `${sale.product.name} ${sale.slug}`.toLocaleLowerCase();
  return text.includes(search.trim().toLocaleLowerCase());
}
