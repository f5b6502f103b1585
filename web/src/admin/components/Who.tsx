// A buyer in a list: the name, and the address below it; of an account that is gone, its id.

import type { Person } from "../lib/names";
import { t } from "../lib/texts";

export function Who({ buyer }: { buyer: Person }) {
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
      <bdi className="font-semibold">{buyer.username}</bdi>
      <bdi className="text-sm text-soft">{buyer.email}</bdi>
    </span>
  );
}
