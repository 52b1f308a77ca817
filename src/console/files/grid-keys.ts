import { extendTo, parentIndex, type Selection, selectAll, selectOnly, toggle, typeAhead } from './selection.ts'
import type { Row } from './tree.ts'

/** A key that was pressed in the grid. */
interface Key {
  readonly key: string
  readonly ctrlKey: boolean
  readonly metaKey: boolean
  readonly shiftKey: boolean
  readonly altKey: boolean
}

/** What the grid has. */
interface GridState {
  readonly rows: readonly Row[]
  readonly selection: Selection
  /** Of the row with the focus; -1: none has it. */
  readonly index: number
  /** Rows of a page. */
  readonly page: number
  /** What was typed within the last second. */
  readonly typed: string
}

/** What a key or a click does. */
type GridAction = { readonly kind: 'select'; readonly selection: Selection; readonly typed?: string } | RowAction

/** What is done with a row, with what is selected, or to go to the directory above. */
export type RowAction =
  | { readonly kind: 'open' | 'enter' | 'expand' | 'collapse'; readonly row: Row }
  | { readonly kind: 'rename' | 'remove' | 'up' }

/** The keys of a tree (ARIA Authoring Practices, tree view), and those of file managers; undefined: none of them. */
export function actionOf(key: Key, state: GridState): GridAction | undefined {
  if (key.altKey && key.key === 'ArrowUp') return { kind: 'up' }
  if (key.altKey) return undefined
  return moved(key, state) ?? acted(key, state) ?? typedTo(key, state)
}

function moved(key: Key, state: GridState): GridAction | undefined {
  const { rows, index, page } = state
  const target: Readonly<Record<string, number>> = {
    ArrowDown: index + 1,
    ArrowUp: index - 1,
    PageDown: index + page,
    PageUp: index - page,
    Home: 0,
    End: rows.length - 1,
  }
  const wanted = target[key.key]
  if (wanted === undefined) return undefined
  return selectedAt(Math.max(0, Math.min(wanted, rows.length - 1)), key, state)
}

function selectedAt(index: number, { shiftKey, ctrlKey }: Key, state: GridState): GridAction | undefined {
  const row = state.rows[index]
  if (row === undefined) return undefined
  if (shiftKey) return { kind: 'select', selection: extendTo(state.selection, state.rows, row.key) }
  if (ctrlKey) return { kind: 'select', selection: { ...state.selection, focus: row.key } }
  return { kind: 'select', selection: selectOnly(row.key) }
}

function acted(key: Key, state: GridState): GridAction | undefined {
  const { rows, index, selection } = state
  const command = key.ctrlKey || key.metaKey
  if (command && key.key === 'a') return { kind: 'select', selection: selectAll(selection, rows) }
  if (key.key === 'Backspace') return { kind: 'up' }
  const row = rows[index]
  if (row === undefined) return undefined
  if (key.key === ' ' && state.typed === '') return { kind: 'select', selection: toggle(selection, row.key) }
  if (key.key === 'Enter') return { kind: command ? 'enter' : 'open', row }
  if (key.key === 'F2') return { kind: 'rename' }
  if (key.key === 'Delete') return { kind: 'remove' }
  if (key.key === 'ArrowRight') return right(row, state)
  if (key.key === 'ArrowLeft') return left(row, key, state)
  return undefined
}

/** Opens a directory, or goes to its first entry. */
function right(row: Row, { rows, index }: GridState): GridAction | undefined {
  if (row.state === 'none') return undefined
  if (row.state === 'closed' || row.state === 'failed') return { kind: 'expand', row }
  const next = rows[index + 1]
  return next !== undefined && next.level > row.level ? { kind: 'select', selection: selectOnly(next.key) } : undefined
}

/** Closes a directory, or goes to the one that the row is in. */
function left(row: Row, key: Key, state: GridState): GridAction | undefined {
  if (row.state !== 'none' && row.state !== 'closed') return { kind: 'collapse', row }
  return selectedAt(parentIndex(state.rows, state.index), { ...key, shiftKey: false, ctrlKey: false }, state)
}

function typedTo(key: Key, { rows, index, typed }: GridState): GridAction | undefined {
  if (key.ctrlKey || key.metaKey || [...key.key].length !== 1) return undefined
  const text = typed + key.key
  const row = rows[typeAhead(rows, index, text)]
  if (row === undefined) return undefined
  return { kind: 'select', selection: selectOnly(row.key), typed: text }
}
