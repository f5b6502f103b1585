// The button that extends the buyer's turn, once per turn, where the sale offers it. The server's reply sets the new end of the turn.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ErrorNotice } from "../../components/Notices";
import { client, type Place, type Sale, unwrapReply } from "../../lib/api";
import { locale, t } from "../../lib/i18n";
import { queryKeys } from "../../lib/queryKeys";
import { retryTransient } from "../../lib/retry";
import { formatRoughDuration } from "../../lib/time";
import { useSubmitOnce } from "../../lib/useSubmitOnce";
import { getExtensionState } from "./turnExtension";

export function ExtendTurn({ sale, place }: { sale: Sale; place: Place }) {
  const queries = useQueryClient();
  const [used, setUsed] = useState<{ ticket: number; seconds: number } | null>(null);
  const state = getExtensionState(place, used);
  const extend = useSubmitOnce<Place, number>({
    // A second request changes nothing, so it needs no idempotency key.
    mutationFn: () =>
      retryTransient(() =>
        unwrapReply(client.POST("/api/v1/queue/extend", { body: { flashSaleId: sale.id } })),
      ),
    onSuccess: async (extended, seconds) => {
      setUsed({ ticket: extended.ticket, seconds });
      // A poll that is under way would bring the old end back.
      await queries.cancelQueries({ queryKey: queryKeys.place(sale.id) });
      queries.setQueryData(queryKeys.place(sale.id), extended);
    },
    onError: () => void queries.invalidateQueries({ queryKey: queryKeys.place(sale.id) }),
  });
  if (state.kind === "none") return null;
  const isUsed = state.kind === "used";
  const time = formatRoughDuration(state.seconds, locale());
  return (
    <div className="grid justify-items-start gap-2 text-sm text-soft">
      {/* The button stays after its use, so that a keyboard user does not lose the focus. */}
      <button
        type="button"
        className="text-link py-1"
        aria-disabled={isUsed || extend.isPending}
        onClick={() => {
          if (!isUsed) extend.submit(state.seconds);
        }}
      >
        {t(isUsed ? "more.used" : "more.ask", { time })}
      </button>
      <p role="status" className="sr-only">
        {isUsed && t("more.given", { time })}
      </p>
      <ErrorNotice error={isUsed ? null : extend.error} />
    </div>
  );
}
