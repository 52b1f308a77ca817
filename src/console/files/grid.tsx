import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Order } from './entry.ts'
import { actionOf, type RowAction } from './grid-keys.ts'
import { GridHead, GridRow, type RowPart } from './grid-row.tsx'
import { extendTo, type Selection, selectOnly, toggle } from './selection.ts'
import type { Row } from './tree.ts'
import { rowsOfPage, scrolledTo, visibleRows } from './window.ts'

interface GridProps {
  readonly label: string
  readonly rows: readonly Row[]
  /** The place of a key among the rows; -1: it is not there. */
  readonly indexOf: (key: string) => number
  readonly selection: Selection
  readonly order: Order
  readonly onSort: (order: Order) => void
  readonly onSelect: (selection: Selection) => void
  readonly onAction: (action: RowAction) => void
  /** The path of the directory that is dragged over, to be marked. */
  readonly dropTarget: string | undefined
}

/** Type-ahead begins anew after a pause. */
const TYPED_MS = 1000

/**
 * The entries as a tree with columns, of which only the rows in sight are on the page. The grid has the focus itself
 * and says which row is the active one, as a row that is scrolled away could not keep it.
 */
export function Grid(props: GridProps) {
  const { rows, indexOf, selection } = props
  const box = useRef<HTMLDivElement>(null)
  const { viewport, measure } = useViewport(box, rows.length)
  const index = selection.focus === undefined ? -1 : indexOf(selection.focus)
  useLayoutEffect(() => {
    const { current } = box
    if (current === null || index === -1) return
    current.scrollTop = scrolledTo(index, { ...viewport, scrollTop: current.scrollTop })
    measure()
    // Only when the focus moves: a list that grows above it must not scroll.
  }, [selection.focus])
  const onKeyDown = useKeys(props, index, rowsOfPage(viewport))
  const onRowClick = (event: MouseEvent, row: Row, part: RowPart) => {
    box.current?.focus({ preventScroll: true })
    clicked(event, { row, part, ...props })
  }
  const { first, end } = visibleRows(viewport)
  return (
    <div
      ref={box}
      class="grid"
      role="treegrid"
      aria-label={props.label}
      aria-multiselectable="true"
      aria-rowcount={rows.length + 1}
      aria-activedescendant={index >= first && index < end ? `row-${index}` : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onScroll={measure}
    >
      <GridHead order={props.order} onSort={props.onSort} />
      <div role="rowgroup" class="rows" style={{ height: `${rows.length * viewport.rowHeight}px` }}>
        {rows.slice(first, end).map((row, offset) => (
          <GridRow
            key={row.key}
            row={row}
            index={first + offset}
            top={(first + offset) * viewport.rowHeight}
            selected={selection.selected.has(row.key)}
            active={row.key === selection.focus}
            target={row.entry.path === props.dropTarget}
            onClick={onRowClick}
          />
        ))}
      </div>
    </div>
  )
}

/** What the keys of the grid do. @param index of the row with the focus. @param page rows of a page. */
function useKeys({ rows, selection, onSelect, onAction }: GridProps, index: number, page: number) {
  const typed = useRef({ text: '', at: 0 })
  return (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return
    const text = event.timeStamp - typed.current.at < TYPED_MS ? typed.current.text : ''
    const action = actionOf(event, { rows, selection, index, page, typed: text })
    if (action === undefined) return
    event.preventDefault()
    if (action.kind !== 'select') return onAction(action)
    if (action.typed !== undefined) typed.current = { text: action.typed, at: event.timeStamp }
    onSelect(action.selection)
  }
}

interface Click extends GridProps {
  readonly row: Row
  readonly part: RowPart
}

/** A click selects; one on the name opens, one at the arrow opens or closes, a double click goes into a directory. */
function clicked(event: MouseEvent, { row, part, rows, selection, onSelect, onAction }: Click): void {
  const more = event.ctrlKey || event.metaKey
  if (event.shiftKey) onSelect(extendTo(selection, rows, row.key))
  else onSelect(more ? toggle(selection, row.key) : selectOnly(row.key))
  if (event.shiftKey || more) return
  const isOpen = row.state !== 'none' && row.state !== 'closed'
  if (part === 'twisty') onAction({ kind: isOpen ? 'collapse' : 'expand', row })
  else if (part === 'name') onAction({ kind: 'open', row })
  else if (event.detail === 2) onAction({ kind: 'enter', row })
}

const ROW_HEIGHT = 28
const TOUCH_ROW_HEIGHT = 40
const TOUCH = '(pointer: coarse), (max-width: 640px)'
/** Of the head, which covers the top of what scrolls. */
const HEAD_HEIGHT = 30

/** What is in sight of a list of `count` rows; follows scrolling and the size of the page. */
function useViewport(box: { readonly current: HTMLDivElement | null }, count: number) {
  const [seen, setSeen] = useState({ scrollTop: 0, height: 600 })
  const [rowHeight, setRowHeight] = useState(ROW_HEIGHT)
  const measure = () => {
    const { current } = box
    if (current === null) return
    const next = { scrollTop: current.scrollTop, height: Math.max(0, current.clientHeight - HEAD_HEIGHT) }
    setSeen((last) => (last.scrollTop === next.scrollTop && last.height === next.height ? last : next))
    setRowHeight(matchMedia(TOUCH).matches ? TOUCH_ROW_HEIGHT : ROW_HEIGHT)
  }
  useEffect(() => {
    const observer = new ResizeObserver(measure)
    if (box.current !== null) observer.observe(box.current)
    return () => observer.disconnect()
  }, [])
  return { viewport: { ...seen, rowHeight, count }, measure }
}
