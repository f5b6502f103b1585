// A buyer in a table: username and e-mail address, the text by which a guest is known, or the id of a deleted account.

import type { Buyer } from "../lib/buyerName";
import { t } from "../lib/texts";

export function BuyerCell({ buyer }: { buyer: Buyer }) {
  if (!buyer.email && !buyer.username) {
    return (
      <span className="grid justify-items-start md:min-w-44">
        <span className="text-soft">{t("orders.no_account")}</span>
        <code className="text-sm [overflow-wrap:anywhere]">{buyer.id}</code>
      </span>
    );
  }
  return (
    <span className="grid justify-items-start [overflow-wrap:anywhere] md:min-w-44">
      {buyer.username && <bdi className="font-semibold">{buyer.username}</bdi>}
      <bdi className="text-sm text-soft">{buyer.email}</bdi>
    </span>
  );
}
