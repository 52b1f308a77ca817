import { useEffect, useRef, useState } from 'preact/hooks'
import type { Emulator } from './emulator.ts'

/** Finds text in a terminal and above its screen: Enter goes on, with Shift backwards, Escape ends it. */
export function SearchBar({ emulator, onClose }: { readonly emulator: Emulator; readonly onClose: () => void }) {
  const [text, setText] = useState('')
  const [found, setFound] = useState(true)
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => {
    field.current?.focus()
    return () => emulator.endSearch()
  }, [emulator])
  const search = (wanted: string, backwards: boolean) => setFound(wanted === '' || emulator.search(wanted, backwards))
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') onClose()
    if (event.key === 'Enter') search(text, event.shiftKey)
  }
  return (
    <search class="find">
      <input
        ref={field}
        type="search"
        aria-label="Find in the terminal"
        placeholder="Find"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value)
          search(event.currentTarget.value, false)
        }}
        onKeyDown={onKeyDown}
      />
      <span role="status">{found ? '' : 'nothing found'}</span>
      <button type="button" class="icon" aria-label="Previous match" onClick={() => search(text, true)}>
        ↑
      </button>
      <button type="button" class="icon" aria-label="Next match" onClick={() => search(text, false)}>
        ↓
      </button>
      <button type="button" class="icon" aria-label="End the search" onClick={onClose}>
        ×
      </button>
    </search>
  )
}
