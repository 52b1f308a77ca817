import type { Entry } from './entry.ts'

/** Outlines on a square of 16 units. */
const SHAPES = {
  directory: 'M1.5 4.5v8a1 1 0 0 0 1 1h11a1 1 0 0 0 1-1v-6a1 1 0 0 0-1-1H8l-1.5-2h-4a1 1 0 0 0-1 1z',
  file: 'M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3',
  link: 'M6.5 9.5 13 3M8.5 2.5h5v5M11.5 9.5v4h-9v-9h4',
  other: 'M8 1.8 14.2 8 8 14.2 1.8 8z',
} as const

/** The picture of an entry, for those who see it; its kind is said by the row. */
export function Icon({ entry: { kind, target } }: { readonly entry: Entry }) {
  const shape = target !== undefined ? 'link' : kind
  return (
    <svg class={`kind ${kind}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={SHAPES[shape]} />
    </svg>
  )
}
