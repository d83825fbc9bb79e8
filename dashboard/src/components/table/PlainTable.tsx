/** Short table inside a card: all rows are shown. On a phone each row is a list of its cells with their heads. */
import type { ReactNode } from "react";
import classes from "./PlainTable.module.css";

interface Props<T> {
  label: string;
  rows: T[];
  idOf: (row: T) => string;
  columns: {
    head: string;
    cell: (row: T) => ReactNode;
    isNumber?: boolean;
    /** Text that may break into several lines. */
    isText?: boolean;
    /** Text that says what the row is: on a phone it stands first, without its head. */
    isLead?: boolean;
    /** Left out of a narrow table, from 768 to 1023 pixels. */
    isMinor?: boolean;
  }[];
}

export function PlainTable<T>({ label, rows, idOf, columns }: Props<T>) {
  return (
    <div className={classes.scroller}>
      <table className={classes.table} aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.head}
                scope="col"
                data-number={column.isNumber || undefined}
                data-minor={column.isMinor || undefined}
              >
                {column.head === "Acts" ? <span className="visually-hidden">Acts</span> : column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={idOf(row)}>
              {columns.map((column) => (
                <td
                  key={column.head}
                  data-head={column.head === "Acts" ? "" : column.head}
                  data-number={column.isNumber || undefined}
                  data-text={column.isText || column.isLead || undefined}
                  data-lead={column.isLead || undefined}
                  data-minor={column.isMinor || undefined}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
