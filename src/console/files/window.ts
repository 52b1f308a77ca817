/** What is to be seen of a long list, in pixels. */
interface Viewport {
  readonly scrollTop: number
  readonly height: number
  readonly rowHeight: number
  readonly count: number
}

/** Rows that are kept above and below those that are seen, so that scrolling by some rows shows no gap. */
const OVERSCAN = 10

/** More rows than any screen shows, whatever height the page reports. */
const MAX_ROWS = 400

/** The rows to put on the page: from `first` to before `end`. */
export function visibleRows({ scrollTop, height, rowHeight, count }: Viewport): { first: number; end: number } {
  const top = Math.max(0, Math.min(scrollTop, count * rowHeight - height))
  const first = Math.max(0, Math.floor(top / rowHeight) - OVERSCAN)
  const end = Math.min(count, Math.ceil((top + height) / rowHeight) + OVERSCAN, first + MAX_ROWS)
  return { first, end: Math.max(first, end) }
}

/** Where to scroll so that a row is seen whole; the same place if it is. */
export function scrolledTo(index: number, { scrollTop, height, rowHeight }: Viewport): number {
  const top = index * rowHeight
  if (top < scrollTop) return top
  return top + rowHeight > scrollTop + height ? top + rowHeight - height : scrollTop
}

/** How many rows a page up or down moves. */
export function rowsOfPage({ height, rowHeight }: Viewport): number {
  return Math.max(1, Math.floor(height / rowHeight) - 1)
}
