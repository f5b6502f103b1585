// More time for whoever needs it: one press, once in a turn, where the shop promises it. It never counts by itself what was
// given; the end of the turn is the server's to say.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Failure } from "../../components/Notice";
import { ask, client, type Place, type Sale } from "../../lib/api";
import { useDeed } from "../../lib/deed";
import { language, t } from "../../lib/i18n";
import { moreTime } from "../../lib/more";
import { insist } from "../../lib/problem";
import { keys } from "../../lib/queries";
import { roughlyIn } from "../../lib/time";

export function MoreTime({ sale, place }: { sale: Sale; place: Place }) {
  const queries = useQueryClient();
  const [given, setGiven] = useState<{ ticket: number; seconds: number } | null>(null);
  const state = moreTime(place, given);
  const extend = useDeed<Place, number>({
    // Asking twice is asking once: no key is needed.
    mutationFn: () =>
      insist(() => ask(client.POST("/api/v1/queue/extend", { body: { flashSaleId: sale.id } }))),
    onSuccess: async (later, seconds) => {
      setGiven({ ticket: later.ticket, seconds });
      // A look at the place that was under way knows the old end only.
      await queries.cancelQueries({ queryKey: keys.place(sale.id) });
      queries.setQueryData(keys.place(sale.id), later);
    },
    onError: () => void queries.invalidateQueries({ queryKey: keys.place(sale.id) }),
  });
  if (state.kind === "none") return null;
  const isGiven = state.kind === "given";
  const time = roughlyIn(state.seconds, language());
  return (
    <div className="grid justify-items-start gap-2 text-sm text-soft">
      {/* It stays when it is used up, so that whoever pressed it by keyboard keeps their place on the page. */}
      <button
        type="button"
        className="text-link py-1"
        aria-disabled={isGiven || extend.isPending}
        onClick={() => {
          if (!isGiven) extend.press(state.seconds);
        }}
      >
        {t(isGiven ? "more.used" : "more.ask", { time })}
      </button>
      <p role="status" className="sr-only">
        {isGiven && t("more.given", { time })}
      </p>
      <Failure error={isGiven ? null : extend.error} />
    </div>
  );
}
