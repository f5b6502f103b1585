// The keys of the query cache that more than one module uses. Everything below `own` belongs to the signed-in user.

export const queryKeys = {
  sales: ["sales"] as const,
  everySale: ["sale"] as const,
  own: ["own"] as const,
  sale: (idOrSlug: string) => ["sale", idOrSlug] as const,
  place: (saleId: string) => ["own", "place", saleId] as const,
  orders: ["own", "orders"] as const,
  order: (id: string) => ["own", "order", id] as const,
};
