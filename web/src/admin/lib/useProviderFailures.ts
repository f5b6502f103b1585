// The payment providers that the server cannot use. A tab in the background does not poll.

import { useQuery } from "@tanstack/react-query";
import { client } from "../../lib/api";
import { adminKeys } from "./adminCache";
import { type ProviderFailure, readProviderFailures } from "./providerHealth";

const POLL_MS = 30_000;
/** While the server waits for a provider's first answer, which is there within seconds. */
const POLL_UNKNOWN_MS = 2_000;

export function useProviderFailures(): ProviderFailure[] {
  const { data } = useQuery({
    queryKey: adminKeys.health,
    queryFn: async () => {
      // The report of an unhealthy server comes with 503.
      const { data: report, error } = await client.GET("/health");
      return readProviderFailures(report ?? error);
    },
    refetchInterval: ({ state }) =>
      state.data?.some(({ code }) => code === "provider_unknown") ? POLL_UNKNOWN_MS : POLL_MS,
    refetchIntervalInBackground: false,
  });
  return data ?? [];
}
