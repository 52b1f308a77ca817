import { useEffect, useRef, useState } from 'preact/hooks'
import { containing, findLine, isFailure } from './find-line.ts'
import type { Lines } from './lines.ts'

interface SearchBarProps {
  readonly lines: Lines
  readonly search: string
  readonly onSearch: (text: string) => void
  /** The line that was jumped to. */
  readonly target: number | undefined
  readonly onTarget: (line: number) => void
}

/** Goes to lines with a text (Enter, Shift+Enter), and to those that look like failures. */
export function SearchBar({ lines, search, onSearch, target, onTarget }: SearchBarProps) {
  const [said, setSaid] = useState('')
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => setSaid(''), [search])
  const jump = (test: (text: string) => boolean, what: string, backwards: boolean) => {
    const from = target ?? (backwards ? lines.end : lines.start - 1)
    const line = findLine(lines, test, { from, backwards })
    setSaid(line === undefined ? `No ${what}` : `Line ${line + 1}`)
    if (line !== undefined) onTarget(line)
  }
  const find = (backwards: boolean) => search !== '' && jump(containing(search), 'match', backwards)
  return (
    <search class="search">
      <input
        ref={field}
        type="search"
        placeholder="Search"
        aria-label="Search in the output"
        value={search}
        onInput={(event) => onSearch(event.currentTarget.value)}
        onKeyDown={(event) => event.key === 'Enter' && find(event.shiftKey)}
      />
      <button type="button" aria-label="Previous match" disabled={search === ''} onClick={() => find(true)}>
        ↑
      </button>
      <button type="button" aria-label="Next match" disabled={search === ''} onClick={() => find(false)}>
        ↓
      </button>
      <button type="button" onClick={() => jump(isFailure, 'error', false)}>
        Next error
      </button>
      <span class="hint" role="status">
        {said}
      </span>
    </search>
  )
}
