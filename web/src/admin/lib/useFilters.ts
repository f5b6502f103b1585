// The filters of a list. They are in the address, so that a link shows the same list to a colleague and "back" undoes a filter.

import { useCallback } from "react";
import { navigate, useSearch } from "wouter/use-browser-location";

/** An empty value does not filter. */
export type Filters<K extends string> = Record<K, string>;

export function readFilters<K extends string>(names: readonly K[], search: string): Filters<K> {
  const query = new URLSearchParams(search);
  return Object.fromEntries(names.map((name) => [name, query.get(name) ?? ""])) as Filters<K>;
}

/** The query of the address with these changes; its other parts stay. */
export function changeSearch(search: string, changes: Partial<Record<string, string>>): string {
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** The filters that are set, as the server takes them. */
export function activeFilters<K extends string>(filters: Filters<K>): Partial<Filters<K>> {
  const active = Object.entries(filters).filter(([, value]) => value !== "");
  return Object.fromEntries(active) as Partial<Filters<K>>;
}

/** `replace` replaces the entry in the browser's history instead of adding one. */
type ChangeFilters<K extends string> = (changes: Partial<Filters<K>>, replace?: boolean) => void;

/** What a filter field needs to show and change one filter. */
export interface FilterBinding {
  name: string;
  value: string;
  change: ChangeFilters<string>;
}

export interface FilterState<K extends string> {
  values: Filters<K>;
  /** The same function at each render. */
  change: ChangeFilters<K>;
  bind: (name: K) => FilterBinding;
}

export function useFilters<K extends string>(names: readonly K[]): FilterState<K> {
  const values = readFilters(names, useSearch());
  const change = useCallback<ChangeFilters<string>>((changes, replace = false) => {
    const next = changeSearch(location.search, changes);
    if (next !== location.search) navigate(`${location.pathname}${next}`, { replace });
  }, []);
  return { values, change, bind: (name) => ({ name, value: values[name], change }) };
}
