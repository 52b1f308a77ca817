import { memo } from 'preact/compat'
import type { Order, SortKey } from './entry.ts'
import { formatBytes, formatTime } from './format.ts'
import { Icon } from './icon.tsx'
import { shownName } from './paths.ts'
import type { Row } from './tree.ts'

/** Where a row was clicked. */
export type RowPart = 'row' | 'name' | 'twisty'

interface GridRowProps {
  readonly row: Row
  readonly index: number
  /** Pixels from the top of the list. */
  readonly top: number
  readonly selected: boolean
  readonly active: boolean
  /** What is dropped goes there. */
  readonly target: boolean
  readonly onClick: (event: MouseEvent, row: Row, part: RowPart) => void
}

/** One row. Names are put in an element of their own direction, so that they do not mix with what is beside them. */
export function GridRow({ row, index, top, selected, active, target, onClick }: GridRowProps) {
  const { entry, level, state } = row
  const expanded = state === 'none' ? undefined : state !== 'closed'
  const marks = [selected ? 'selected' : '', active ? 'active' : '', target ? 'target' : ''].join(' ')
  return (
    // biome-ignore lint/a11y: the grid has the focus and takes the keys
    <div
      role="row"
      id={`row-${index}`}
      class={`row ${marks}`}
      style={{ top: `${top}px`, '--level': level }}
      data-path={entry.path}
      data-kind={entry.kind}
      aria-level={level}
      aria-posinset={row.position}
      aria-setsize={row.siblings}
      aria-rowindex={index + 2}
      aria-expanded={expanded}
      aria-selected={selected}
      onClick={(event) => onClick(event, row, partOf(event))}
    >
      <div role="gridcell" class="name">
        <span class="twisty" aria-hidden="true" data-part="twisty">
          {expanded === undefined ? '' : expanded ? '▾' : '▸'}
        </span>
        <Icon entry={entry} />
        <bdi data-part="name" title={shownName(entry.name)}>
          {shownName(entry.name)}
        </bdi>
        <Note row={row} />
      </div>
      <div role="gridcell" class="size">
        {entry.kind === 'file' ? formatBytes(entry.size) : ''}
      </div>
      <div role="gridcell" class="time minor">
        {formatTime(entry.modified, Date.now())}
      </div>
      <div role="gridcell" class="mode minor">
        {entry.permissions} {shownName(entry.owner)}
      </div>
    </div>
  )
}

/** What stands behind a name: where a link leads, what is being done, or why it failed. */
function Note({ row: { entry, state, failure } }: { readonly row: Row }) {
  return (
    <>
      {entry.target === undefined ? null : (
        <span class="note">
          → <bdi>{entry.target === entry.path ? 'nowhere' : shownName(entry.target)}</bdi>
        </span>
      )}
      {state === 'loading' ? <span class="note">Loading…</span> : null}
      {failure === undefined ? null : <span class="note failure">{failure}</span>}
    </>
  )
}

function partOf({ target }: Event): RowPart {
  const part = target instanceof Element ? target.closest('[data-part]')?.getAttribute('data-part') : null
  return part === 'name' || part === 'twisty' ? part : 'row'
}

const COLUMNS: readonly { readonly key: SortKey; readonly title: string; readonly class: string }[] = [
  { key: 'name', title: 'Name', class: 'name' },
  { key: 'size', title: 'Size', class: 'size' },
  { key: 'modified', title: 'Modified', class: 'time minor' },
]

interface GridHeadProps {
  readonly order: Order
  readonly onSort: (order: Order) => void
}

/** The titles of the columns; a click sorts by one, a second click the other way round. */
export const GridHead = memo(function GridHead({ order, onSort }: GridHeadProps) {
  const sorted = (key: SortKey) => (order.key !== key ? 'none' : order.descending ? 'descending' : 'ascending')
  return (
    <div role="rowgroup" class="head">
      <div role="row" aria-rowindex={1} class="row">
        {COLUMNS.map(({ key, title, class: name }) => (
          <div role="columnheader" key={key} class={name} aria-sort={sorted(key)}>
            <button type="button" onClick={() => onSort({ key, descending: order.key === key && !order.descending })}>
              {title}
              <span aria-hidden="true">{order.key !== key ? '' : order.descending ? ' ▾' : ' ▴'}</span>
            </button>
          </div>
        ))}
        <div role="columnheader" class="mode minor">
          Permissions
        </div>
      </div>
    </div>
  )
})
