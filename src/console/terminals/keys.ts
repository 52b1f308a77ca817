/** What the page does for a key that is pressed in a terminal, instead of sending it. */
export interface PageKeys {
  readonly copy: () => void
  readonly search: () => void
  /** To the tab beside. */
  readonly step: (by: 1 | -1) => void
  /** Out of the terminal, as Tab belongs to it. */
  readonly leave: () => void
}

/** Whether a key is one of the page's; if so, it is done. */
export function pressed(event: KeyboardEvent, keys: PageKeys): boolean {
  const { ctrlKey, shiftKey, altKey, key } = event
  const action = {
    'ctrl shift c': keys.copy,
    'ctrl shift f': keys.search,
    'ctrl alt arrowright': () => keys.step(1),
    'ctrl alt arrowleft': () => keys.step(-1),
    'ctrl alt arrowup': keys.leave,
  }[[ctrlKey && 'ctrl', shiftKey && 'shift', altKey && 'alt', key.toLowerCase()].filter(Boolean).join(' ')]
  action?.()
  return action !== undefined
}
