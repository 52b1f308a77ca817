/** A row of the table of `docs/reliability.md`: what is promised, and the test that shows it. */
export interface Promised {
  readonly promise: string
  /** Undefined: it names none. */
  readonly file: string | undefined
  /** Words of the title, as they stand in the file. */
  readonly title: string | undefined
  /** The whole line. */
  readonly line: string
}

const TABLE = /^\| promise \|.*\n\|[-|]*\|\n((?:\|.*\n)*)/m
const ROW = /^\| ([^|]*) \| ([^|]*) \|/
const TEST = /\]\(\.\.\/([^)]*)\): \*(.*)\*$/
const HEADING = /^\*\*.*\*\*$/

/** The rows, in order; those in bold are headings. */
export function promisesOf(page: string): Promised[] {
  const [, table = ''] = TABLE.exec(page) ?? []
  return table
    .split('\n')
    .map((line) => ({ line, row: ROW.exec(line) }))
    .flatMap(({ line, row }) => {
      const [, promise = '', test = ''] = row ?? []
      if (promise === '' || HEADING.test(promise)) return []
      const [, file, title] = TEST.exec(test) ?? []
      return [{ promise, file, title, line }]
    })
}
