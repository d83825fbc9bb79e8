/**
 * Table of rows that are links. It is a real table; only the rows in view are in the document. `j` and `k` move the
 * focus, new rows wait behind a count. Under 768 pixels a row is a card of two lines.
 */
import { useMediaQuery } from "@mantine/hooks";
import {
  type ColumnDef,
  type ColumnDefTemplate,
  getCoreRowModel,
  type Row,
  type RowData,
  useReactTable,
} from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useNavigate } from "@tanstack/react-router";
import { memo, type MouseEvent, type ReactNode, type RefObject, useEffect, useMemo, useRef } from "react";
import { Skeletons } from "@/components/feedback/Skeletons";
import { useKeys } from "@/shell/keys";
import { indexOfFocus, toggled, useFlashes, withRange } from "./selection";
import classes from "./LiveTable.module.css";

declare module "@tanstack/react-table" {
  // The names of the parameters are those of the declaration that this one extends.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  interface ColumnMeta<TData extends RowData, TValue> {
    isNumber?: boolean;
    width?: string;
    /** Least width of the window, in pixels, that shows the column. */
    from?: number;
  }
}

export type Column<T> = ColumnDef<T, unknown>;

interface Props<T> {
  /** Name of the table for screen readers. */
  label: string;
  columns: Column<T>[];
  rows: T[];
  idOf: (row: T) => string;
  hrefOf?: (row: T) => string;
  /** Two lines of a row on a phone. */
  cardOf: (row: T) => ReactNode;
  rowHeight?: number;
  cardHeight?: number;
  isLoading?: boolean;
  empty: ReactNode;
  /** Called when the end of the rows comes into view. */
  onEnd?: (() => void) | undefined;
  footer?: ReactNode;
  /** Row of the focus, for the keys of the page. */
  onFocusRow?: (row: T) => void;
  /** Text that changes when a shown row changes; its ground flashes then. */
  signatureOf?: (row: T) => string;
  /** Ids of the selected rows. Without it, rows cannot be selected. */
  selected?: ReadonlySet<string>;
  onSelect?: (selected: ReadonlySet<string>) => void;
}

const OVERSCAN = 12;

export function LiveTable<T>(props: Props<T>) {
  const {
    rows,
    columns,
    idOf,
    hrefOf,
    cardOf,
    rowHeight = 36,
    cardHeight = 62,
    isLoading,
    empty,
    onEnd,
    onFocusRow,
  } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const isPhone = useMediaQuery("(max-width: 767px)") ?? false;
  const width = useWidth();
  const navigate = useNavigate();
  const visible = useMemo(
    () => columns.filter((column) => width >= (column.meta?.from ?? 0)),
    [columns, width],
  );
  const height = isPhone ? cardHeight : rowHeight;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: OVERSCAN,
  });
  const items = virtual.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items[items.length - 1]?.index ?? 0;
  // The table knows the rows in view only, so that its cost does not depend on the length of the list.
  const inView = useMemo(() => rows.slice(first, last + 1), [rows, first, last]);
  const table = useReactTable({
    data: inView,
    columns: visible,
    getCoreRowModel: getCoreRowModel(),
    getRowId: idOf,
    // A reset sets the state, and with it draws every row once more.
    autoResetAll: false,
  });
  const shown = table.getRowModel().rows;
  useEffect(() => {
    if (rows.length > 0 && last >= rows.length - 5) onEnd?.();
  }, [last, rows.length, onEnd]);

  const move = (step: number) => {
    const current = indexOfFocus();
    const next = Math.min(rows.length - 1, Math.max(0, current === null ? 0 : current + step));
    virtual.scrollToIndex(next);
    requestAnimationFrame(() => {
      scroller.current?.querySelector<HTMLElement>(`[data-index="${next}"] a[data-row]`)?.focus();
    });
  };
  const anchor = useRef<string | null>(null);
  const { selected, onSelect } = props;
  const select = (isRange: boolean) => {
    const index = indexOfFocus();
    const row = index === null ? undefined : rows[index];
    if (row === undefined || selected === undefined) return;
    const from = isRange ? rows.findIndex((one) => idOf(one) === anchor.current) : -1;
    onSelect?.(
      from === -1 ? toggled(selected, idOf(row)) : withRange(selected, rows.map(idOf), from, index ?? 0),
    );
    anchor.current = idOf(row);
  };
  useKeys([
    { keys: "j", label: "Next row", run: () => move(1) },
    { keys: "k", label: "Previous row", run: () => move(-1) },
    ...(onSelect
      ? [
          { keys: "x", label: "Select the row", run: () => select(false) },
          { keys: "⇧X", label: "Select up to the row", run: () => select(true) },
        ]
      : []),
  ]);
  const flashes = useFlashes(inView, idOf, props.signatureOf);

  const currentActs: RowActs<T> = {
    open: (row, event) => {
      const isOnControl = (event.target as HTMLElement).closest("a,button,input") !== null;
      if (hrefOf === undefined || isOnControl || getSelection()?.toString()) return;
      if (event.metaKey || event.ctrlKey) window.open(hrefOf(row), "_blank", "noopener");
      else void navigate({ href: hrefOf(row) });
    },
    follow: (row, event) => {
      if (hrefOf === undefined || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      void navigate({ href: hrefOf(row) });
    },
    focus: (row) => onFocusRow?.(row),
    toggle: (row) => {
      anchor.current = idOf(row);
      if (selected) onSelect?.(toggled(selected, idOf(row)));
    },
  };
  const acts = useRef(currentActs);
  acts.current = currentActs;

  const before = items[0]?.start ?? 0;
  const after = virtual.getTotalSize() - (items[items.length - 1]?.end ?? 0);
  return (
    <>
      <div className={classes.scroller} ref={scroller} data-scroll-restoration-id={props.label}>
        {isLoading ? (
          <Skeletons rows={12} height={height} />
        ) : rows.length === 0 ? (
          empty
        ) : isPhone ? (
          <div role="list" aria-label={props.label} style={{ paddingTop: before, paddingBottom: after }}>
            {items.map((item) => {
              const row = shown[item.index - first];
              return row === undefined ? null : (
                <div
                  role="listitem"
                  key={row.id}
                  data-index={item.index}
                  className={classes.card}
                  style={{ height }}
                  onClick={(event) => acts.current.open(row.original, event)}
                >
                  <RowLink row={row.original} href={hrefOf?.(row.original)} acts={acts}>
                    {cardOf(row.original)}
                  </RowLink>
                </div>
              );
            })}
          </div>
        ) : (
          <table className={classes.table} aria-label={props.label} aria-rowcount={rows.length}>
            <thead>
              {table.getHeaderGroups().map((group) => (
                <tr key={group.id}>
                  {selected && (
                    <th scope="col" className={classes.check}>
                      <input
                        type="checkbox"
                        className="check"
                        aria-label="Select all rows shown"
                        checked={rows.length > 0 && selected.size >= rows.length}
                        onChange={(event) =>
                          onSelect?.(new Set(event.currentTarget.checked ? rows.map(idOf) : []))
                        }
                      />
                    </th>
                  )}
                  {group.headers.map((header) => {
                    const { isNumber, width: wide } = header.column.columnDef.meta ?? {};
                    return (
                      <th
                        key={header.id}
                        scope="col"
                        data-number={isNumber || undefined}
                        style={wide ? { width: wide } : {}}
                      >
                        {contentOf(header.column.columnDef.header, header.getContext())}
                      </th>
                    );
                  })}
                </tr>
              ))}
            </thead>
            <tbody>
              {before > 0 && <tr style={{ height: before }} aria-hidden />}
              {items.map((item) => {
                const row = shown[item.index - first];
                return row === undefined ? null : (
                  <TableRow
                    key={row.id}
                    row={row}
                    columns={visible}
                    index={item.index}
                    height={height}
                    href={hrefOf?.(row.original)}
                    isSelected={selected?.has(row.id)}
                    flash={flashes.get(row.id)}
                    acts={acts}
                  />
                );
              })}
              {after > 0 && <tr style={{ height: after }} aria-hidden />}
            </tbody>
          </table>
        )}
      </div>
      {props.footer !== undefined && <footer className={classes.footer}>{props.footer}</footer>}
    </>
  );
}

/** What a row does. Rows read it when it is done, so that they are not drawn anew when it changes. */
interface RowActs<T> {
  open: (row: T, event: MouseEvent) => void;
  follow: (row: T, event: MouseEvent) => void;
  focus: (row: T) => void;
  toggle: (row: T) => void;
}

interface RowProps<T> {
  row: Row<T>;
  columns: Column<T>[];
  index: number;
  height: number;
  href: string | undefined;
  /** Undefined if rows cannot be selected. */
  isSelected: boolean | undefined;
  flash: number | undefined;
  acts: RefObject<RowActs<T>>;
}

/** Row of the table. Scrolling draws only the rows that come into view. */
const TableRow = memo(RowView, (one, other) =>
  (["columns", "index", "height", "href", "isSelected", "flash"] as const).every(
    (name) => one[name] === other[name] && one.row.original === other.row.original,
  ),
) as typeof RowView;

function RowView<T>({ row, index, height, href, isSelected, flash, acts }: RowProps<T>) {
  return (
    <tr
      data-index={index}
      aria-rowindex={index + 1}
      style={{ height }}
      data-link={href !== undefined || undefined}
      data-selected={isSelected || undefined}
      data-flash={flash}
      onClick={(event) => acts.current.open(row.original, event)}
    >
      {isSelected !== undefined && (
        <td className={classes.check}>
          <input
            type="checkbox"
            aria-label={`Select row ${index + 1}`}
            checked={isSelected}
            onChange={() => acts.current.toggle(row.original)}
          />
        </td>
      )}
      {row.getVisibleCells().map((cell, place) => {
        const content = contentOf(cell.column.columnDef.cell, cell.getContext());
        return (
          <td key={cell.id} data-number={cell.column.columnDef.meta?.isNumber || undefined}>
            {place === 0 ? (
              <RowLink row={row.original} href={href} acts={acts}>
                {content}
              </RowLink>
            ) : (
              content
            )}
          </td>
        );
      })}
    </tr>
  );
}

function RowLink<T>(props: {
  row: T;
  href: string | undefined;
  acts: RefObject<RowActs<T>>;
  children: ReactNode;
}) {
  const { row, href, acts, children } = props;
  if (href === undefined) return children;
  return (
    <a
      className={classes.link}
      data-row
      href={href}
      onFocus={() => acts.current.focus(row)}
      onClick={(event) => acts.current.follow(row, event)}
    >
      {children}
    </a>
  );
}

/**
 * Returns the content of a head or cell. A function is called rather than mounted as a component: other columns, as after
 * a name is known, would mount it anew, and a click whose element goes away between press and release is none.
 */
function contentOf<C extends object>(template: ColumnDefTemplate<C> | undefined, context: C): ReactNode {
  return typeof template === "function" ? (template(context) as ReactNode) : template;
}

/** Returns the width of the window as far as columns depend on it. */
function useWidth(): number {
  const isWide = useMediaQuery("(min-width: 1280px)") ?? true;
  const isMiddle = useMediaQuery("(min-width: 1024px)") ?? true;
  return isWide ? 1280 : isMiddle ? 1024 : 768;
}
