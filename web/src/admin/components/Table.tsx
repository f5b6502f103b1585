// A table of records. On a narrow screen each row is a card, with the column's name beside each value: nobody has to scroll
// sideways to see who and what belong together.

import type { ReactNode } from "react";

export interface Column<T> {
  key: string;
  /** The head of the column, and the name of the value on a card. */
  name: string;
  cell: (row: T) => ReactNode;
  /** Figures stand at the end of their column. */
  isFigure?: boolean;
}

interface Props<T> {
  /** What the table lists, for those who listen. */
  caption: string;
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T) => string;
  /** Dimmed while it shows what was asked for before. */
  isStale?: boolean;
  /** What a row unfolds to, below it. */
  more?: (row: T) => ReactNode;
}

export function Table<T>({ caption, columns, rows, keyOf, isStale = false, more }: Props<T>) {
  return (
    <table className="records" aria-busy={isStale}>
      <caption className="sr-only">{caption}</caption>
      <thead>
        <tr>
          {columns.map(({ key, name, isFigure }) => (
            <th key={key} scope="col" className={isFigure ? "text-end" : "text-start"}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      {rows.map((row) => {
        const unfolded = more?.(row);
        return (
          <tbody key={keyOf(row)} data-row={keyOf(row)}>
            <tr>
              {columns.map(({ key, name, cell, isFigure }) => (
                <td key={key} data-name={name} className={isFigure ? "figures" : undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
            {unfolded && (
              <tr>
                <td colSpan={columns.length} className="unfolded">
                  {unfolded}
                </td>
              </tr>
            )}
          </tbody>
        );
      })}
    </table>
  );
}
