// A table of records. On a narrow screen each row is a card that names each value, so the page never scrolls sideways.

import type { ReactNode } from "react";

export interface Column<T> {
  key: string;
  name: string;
  cell: (row: T) => ReactNode;
  isNumeric?: boolean;
}

interface Props<T> {
  caption: string;
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T) => string;
  /** The table is dimmed while its rows are those of the previous filters. */
  isStale?: boolean;
  /** What an open row shows below itself. */
  details?: (row: T) => ReactNode;
}

export function RecordTable<T>({ caption, columns, rows, keyOf, isStale = false, details }: Props<T>) {
  if (rows.length === 0) return null;
  return (
    <table className="records" aria-busy={isStale}>
      <caption className="sr-only">{caption}</caption>
      <thead>
        <tr>
          {columns.map(({ key, name, isNumeric }) => (
            <th key={key} scope="col" className={isNumeric ? "text-end" : "text-start"}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      {rows.map((row) => {
        const opened = details?.(row);
        return (
          <tbody key={keyOf(row)} data-row={keyOf(row)}>
            <tr>
              {columns.map(({ key, name, cell, isNumeric }) => (
                <td key={key} data-name={name} className={isNumeric ? "figures" : undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
            {opened && (
              <tr>
                <td colSpan={columns.length} className="unfolded">
                  {opened}
                </td>
              </tr>
            )}
          </tbody>
        );
      })}
    </table>
  );
}
