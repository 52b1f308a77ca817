import { useEffect, useRef, useState } from 'preact/hooks'
import type { FilesApi } from './api.ts'
import { textOf } from './failure.ts'
import { formatBytes } from './format.ts'
import { shownName } from './paths.ts'
import { type Hit, runSearch } from './run-search.ts'
import { piecesOf, type Query } from './search-query.ts'

interface SearchProps {
  readonly api: FilesApi
  /** The directory that is searched. */
  readonly root: string
  readonly onOpen: (path: string, line: number | undefined) => void
  readonly onClose: () => void
}

/** What a search has found so far. */
interface Results {
  readonly hits: readonly Hit[]
  readonly state: string
  readonly running: boolean
}

const NONE: Results = { hits: [], state: '', running: false }

const FIRST: Query = {
  ...{ text: '', where: 'names', matchCase: false },
  ...{ regex: false, hidden: false, gitignore: true },
}

/** Searches for names or contents below the directory that is shown. */
export function Search({ api, root, onOpen, onClose }: SearchProps) {
  const [query, setQuery] = useState(FIRST)
  const { results, start, stop } = useSearch(api, root)
  const submit = (event: Event) => {
    event.preventDefault()
    if (query.text !== '') start(query)
  }
  const onKeyDown = ({ key }: KeyboardEvent) => key === 'Escape' && onClose()
  return (
    <section class="search" aria-label="Search" onKeyDown={onKeyDown}>
      <form class="bar" onSubmit={submit}>
        <SearchFields query={query} setQuery={setQuery} root={root} />
        <button type="submit" class="primary">
          Find
        </button>
        {results.running ? (
          <button type="button" onClick={stop}>
            Stop
          </button>
        ) : null}
        <button type="button" class="icon" aria-label="Close the search" onClick={onClose}>
          ×
        </button>
      </form>
      <p class="note summary" role="status">
        {results.state}
      </p>
      <Hits hits={results.hits} root={root} onOpen={onOpen} />
    </section>
  )
}

interface FieldsProps {
  readonly query: Query
  readonly setQuery: (query: Query) => void
  readonly root: string
}

const OPTIONS = [
  { key: 'matchCase', title: 'Match case' },
  { key: 'regex', title: 'Regular expression' },
  { key: 'hidden', title: 'Hidden files' },
  { key: 'gitignore', title: 'Leave out what .gitignore says' },
] as const

function SearchFields({ query, setQuery, root }: FieldsProps) {
  const names = query.where === 'names'
  return (
    <>
      <select
        aria-label="Search in"
        value={query.where}
        onChange={({ currentTarget: { value } }) =>
          setQuery({ ...query, where: value === 'contents' ? 'contents' : 'names' })
        }
      >
        <option value="names">Names</option>
        <option value="contents">Contents</option>
      </select>
      <input
        type="search"
        aria-label={`Search below ${shownName(root)}`}
        placeholder={names ? 'part of a name, or *.py' : 'text'}
        value={query.text}
        spellcheck={false}
        autocomplete="off"
        ref={useFocusOnce()}
        onInput={({ currentTarget: { value } }) => setQuery({ ...query, text: value })}
      />
      {OPTIONS.filter(({ key }) => key !== 'regex' || !names).map(({ key, title }) => (
        <label key={key}>
          <input
            type="checkbox"
            checked={query[key]}
            onChange={({ currentTarget: { checked } }) => setQuery({ ...query, [key]: checked })}
          />
          {title}
        </label>
      ))}
    </>
  )
}

function useFocusOnce() {
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])
  return field
}

function useSearch(api: FilesApi, root: string) {
  const [results, setResults] = useState<Results>(NONE)
  const running = useRef<AbortController | undefined>(undefined)
  const stop = () => running.current?.abort()
  useEffect(() => stop, [api, root])
  const start = (query: Query) => {
    stop()
    const abort = new AbortController()
    running.current = abort
    void collect(runSearch(api, root, query, abort.signal), abort.signal, setResults)
  }
  return { results, start, stop }
}

/** The page shows what has come at most this often. */
const SHOWN_MS = 100

async function collect(
  search: ReturnType<typeof runSearch>,
  signal: AbortSignal,
  show: (results: Results) => void,
): Promise<void> {
  const hits: Hit[] = []
  const publish = (state: string, running: boolean) => show({ hits: [...hits], state, running })
  publish('Searching…', true)
  let shown = performance.now()
  try {
    for (let next = await search.next(); ; next = await search.next()) {
      if (next.done) return publish(summaryOf(hits, next.value.truncated), false)
      hits.push(next.value)
      if (performance.now() - shown < SHOWN_MS) continue
      shown = performance.now()
      publish(`Searching… ${hits.length} so far`, true)
    }
  } catch (error) {
    publish(signal.aborted ? `Stopped. ${summaryOf(hits, false)}` : textOf(error), false)
  }
}

function summaryOf(hits: readonly Hit[], truncated: boolean): string {
  if (hits.length === 0) return 'Nothing was found.'
  const files = new Set(hits.map(({ path }) => path)).size
  const lines = hits[0]?.line === undefined ? '' : `${hits.length} ${hits.length === 1 ? 'line' : 'lines'} in `
  return `${lines}${files} ${files === 1 ? 'file' : 'files'}${truncated ? ', and there are more' : ''}.`
}

interface HitsProps {
  readonly hits: readonly Hit[]
  readonly root: string
  readonly onOpen: (path: string, line: number | undefined) => void
}

function Hits({ hits, root, onOpen }: HitsProps) {
  const below = (path: string) => shownName(root === '/' ? path : path.slice(root.length + 1))
  return (
    <ul class="hits">
      {hits.map((hit, index) => (
        <li key={index}>
          <button type="button" onClick={() => onOpen(hit.path, hit.line)}>
            <bdi class="where">{below(hit.path)}</bdi>
            <span class="note">{hit.line === undefined ? formatBytes(hit.size ?? 0) : `:${hit.line}`}</span>
            <HitText hit={hit} />
          </button>
        </li>
      ))}
    </ul>
  )
}

function HitText({ hit: { text, matches } }: { readonly hit: Hit }) {
  if (text === '') return null
  return (
    <code dir="ltr">
      {piecesOf(text, matches).map((piece, index) =>
        piece.matched ? <mark key={index}>{shownLine(piece.text)}</mark> : shownLine(piece.text),
      )}
    </code>
  )
}

/** Tabs are no surprise in a line. */
function shownLine(text: string): string {
  return shownName(text.replaceAll('\t', '    '))
}
