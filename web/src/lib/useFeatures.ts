// What the shop's settings switch on. A page offers nothing else; until the reply is there it offers nothing.

import { useQuery } from "@tanstack/react-query";
import type { components } from "../api/schema";
import { client, unwrapReply } from "./api";

export function useFeatures(): components["schemas"]["FeaturesReply"] | undefined {
  const { data } = useQuery({
    queryKey: ["features"],
    queryFn: () => unwrapReply(client.GET("/api/v1/features")),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return data;
}
