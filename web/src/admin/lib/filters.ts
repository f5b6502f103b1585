// Filters of a list, kept in the address: a link shows the same list to a colleague, and "back" undoes a filter.

import { useCallback } from "react";
import { navigate, useSearch } from "wouter/use-browser-location";

/** What a list is filtered by; an empty text lets everything pass. */
export type Filters<K extends string> = Record<K, string>;

export function readFilters<K extends string>(names: readonly K[], search: string): Filters<K> {
  const query = new URLSearchParams(search);
  return Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""])) as Filters<K>;
}

/** The query of the address with these changes, and everything else as it was. */
export function changed(search: string, changes: Partial<Record<string, string>>): string {
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** What is asked of the server: filters that are set. */
export function asked<K extends string>(filters: Filters<K>): Partial<Filters<K>> {
  return Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== "")) as Partial<
    Filters<K>
  >;
}

export type Change<K extends string> = (changes: Partial<Filters<K>>, replace?: boolean) => void;

/** `names` has to be the same array each time. */
export function useFilters<K extends string>(names: readonly K[]): [Filters<K>, Change<K>] {
  const search = useSearch();
  const change = useCallback((changes: Partial<Filters<K>>, replace = false) => {
    const next = changed(location.search, changes);
    if (next !== location.search) navigate(`${location.pathname}${next}`, { replace });
  }, []);
  return [readFilters(names, search), change];
}
