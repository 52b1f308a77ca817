import type { Row } from './tree.ts'

/** Which rows are selected, by their keys. */
export interface Selection {
  /** The row that keys act on. */
  readonly focus: string | undefined
  /** Where a range begins. */
  readonly anchor: string | undefined
  readonly selected: ReadonlySet<string>
}

export const NOTHING: Selection = { focus: undefined, anchor: undefined, selected: new Set() }

/** Selects one row only. */
export function selectOnly(key: string): Selection {
  return { focus: key, anchor: key, selected: new Set([key]) }
}

/** Adds a row or takes it out, as Ctrl and a click or Ctrl and Space do. */
export function toggle({ selected }: Selection, key: string): Selection {
  const next = new Set(selected)
  if (!next.delete(key)) next.add(key)
  return { focus: key, anchor: key, selected: next }
}

/** Selects from the anchor to a row, as Shift does. Without an anchor that is shown: the row only. */
export function extendTo(selection: Selection, rows: readonly Row[], key: string): Selection {
  const from = rows.findIndex((row) => row.key === selection.anchor)
  const to = rows.findIndex((row) => row.key === key)
  if (from === -1 || to === -1) return selectOnly(key)
  const range = rows.slice(Math.min(from, to), Math.max(from, to) + 1)
  return { focus: key, anchor: selection.anchor, selected: new Set(range.map((row) => row.key)) }
}

/** Selects every row. */
export function selectAll({ focus, anchor }: Selection, rows: readonly Row[]): Selection {
  return { focus, anchor, selected: new Set(rows.map((row) => row.key)) }
}

/**
 * The selection after rows have changed: what is gone is not selected, and the focus is where it was (`index`), so that
 * the keyboard goes on after a delete.
 * @param isShown whether a row of a key is among them.
 */
export function afterChange(
  selection: Selection,
  rows: readonly Row[],
  { isShown, index }: { readonly isShown: (key: string) => boolean; readonly index: number },
): Selection {
  const { focus, anchor, selected } = selection
  if (focus === undefined) return selection
  if (isShown(focus) && [...selected].every(isShown)) return selection
  const next = isShown(focus) ? focus : rows[Math.min(Math.max(index, 0), rows.length - 1)]?.key
  const kept = new Set([...selected].filter(isShown))
  if (kept.size === 0 && next !== undefined) kept.add(next)
  return { focus: next, anchor: anchor !== undefined && isShown(anchor) ? anchor : next, selected: kept }
}

/**
 * The next row whose name begins with `text`, without regard to case, as a tree of ARIA does it: behind `from`, then from
 * the top; with more than one character the row itself comes first. -1: there is none.
 */
export function typeAhead(rows: readonly Row[], from: number, text: string): number {
  const wanted = text.toLowerCase()
  const start = wanted.length > 1 ? Math.max(from, 0) : from + 1
  for (let step = 0; step < rows.length; step++) {
    const index = (start + step) % rows.length
    if (rows[index]?.entry.name.toLowerCase().startsWith(wanted) === true) return index
  }
  return -1
}

/** The row of the directory that a row is in; -1 for those of level 1. */
export function parentIndex(rows: readonly Row[], index: number): number {
  const level = rows[index]?.level ?? 1
  for (let at = index - 1; at >= 0; at--) if ((rows[at]?.level ?? 1) < level) return at
  return -1
}
