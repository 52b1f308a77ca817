import type { ComponentChildren } from 'preact'

/** One column of a table of `Row`. */
export interface Column<Row> {
  readonly id: string
  readonly title: string
  /** Numbers stand at the right. */
  readonly numeric?: boolean
  /** Left out on narrow screens. */
  readonly minor?: boolean
  readonly cell: (row: Row) => ComponentChildren
}

interface TableProps<Row> {
  /** What it lists; for screen readers. */
  readonly label: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string
  /** The key of the row that is marked. */
  readonly selected?: string | undefined
  /** Shown in the place of rows. */
  readonly empty: string
}

/** A table that scrolls sideways where it is too wide. What can be done with a row stands in its cells, as buttons. */
export function Table<Row>({ label, columns, rows, keyOf, selected, empty }: TableProps<Row>) {
  if (rows.length === 0) return <p class="empty">{empty}</p>
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
    <section class="table" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.id} scope="col" class={classOf(column)}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} class={keyOf(row) === selected ? 'selected' : ''}>
              {columns.map((column) => (
                <td key={column.id} class={classOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function classOf<Row>({ numeric, minor }: Column<Row>): string {
  return [numeric === true ? 'numeric' : '', minor === true ? 'minor' : ''].join(' ').trim()
}
