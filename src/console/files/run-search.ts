import { Case } from '../../gen/files/v1/files_pb.js'
import type { FilesApi } from './api.ts'
import { globOf, type Query } from './search-query.ts'

/** One place that was found. */
export interface Hit {
  readonly path: string
  /** From 1 on; undefined: it is its name that matches. */
  readonly line: number | undefined
  readonly text: string
  readonly matches: readonly { readonly start: number; readonly end: number }[]
  /** Bytes of the file; undefined for lines. */
  readonly size: number | undefined
}

/** How a search ended. */
interface SearchEnd {
  readonly truncated: boolean
}

/** More than one looks through; each is an element of the page. */
const MAX_HITS = 1000
/** Longer lines are cut. */
const LINE_BYTES = 300

/** Searches below a directory, and yields what is found as it comes. Rejects as calls do. */
export async function* runSearch(
  { files }: Pick<FilesApi, 'files'>,
  path: string,
  query: Query,
  signal: AbortSignal,
): AsyncGenerator<Hit, SearchEnd> {
  const { text, matchCase, regex, hidden, gitignore } = query
  if (query.where === 'names') {
    const globs = [globOf(text, matchCase)]
    const request = { path, scope: { globs, hidden, gitignore }, limit: MAX_HITS }
    for await (const { event } of files.find(request, { signal })) {
      if (event.case === 'summary') return { truncated: event.value.truncated }
      if (event.case !== 'file') continue
      yield { path: event.value.path, line: undefined, text: '', matches: [], size: Number(event.value.size) }
    }
    return { truncated: false }
  }
  const request = {
    ...{ path, pattern: text, fixed: !regex, case: matchCase ? Case.SENSITIVE : Case.INSENSITIVE },
    ...{ scope: { hidden, gitignore }, limit: MAX_HITS, maxLineBytes: LINE_BYTES },
  }
  for await (const { event } of files.grep(request, { signal })) {
    if (event.case === 'summary') return { truncated: event.value.truncated }
    if (event.case !== 'line') continue
    const { path: found, number, text: line, matches } = event.value
    yield { path: found, line: Number(number), text: line, matches, size: undefined }
  }
  return { truncated: false }
}
