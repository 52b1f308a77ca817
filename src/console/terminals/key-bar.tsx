import type { Emulator } from './emulator.ts'

/** Keys that the keyboards of telephones lack, and what terminals send for them. */
const KEYS = [
  { title: 'Esc', text: '\x1b' },
  { title: 'Tab', text: '\t' },
  { title: 'Ctrl-C', text: '\x03' },
  { title: 'Ctrl-D', text: '\x04' },
  { title: 'Ctrl-Z', text: '\x1a' },
  { title: '←', label: 'Left', text: '\x1b[D' },
  { title: '↑', label: 'Up', text: '\x1b[A' },
  { title: '↓', label: 'Down', text: '\x1b[B' },
  { title: '→', label: 'Right', text: '\x1b[C' },
]

/** A row of such keys, shown on devices that are touched. */
export function KeyBar({ emulator }: { readonly emulator: Emulator }) {
  const press = (text: string) => {
    emulator.type(text)
    emulator.focus()
  }
  return (
    <div class="keys" role="toolbar" aria-label="Keys">
      {KEYS.map(({ title, label, text }) => (
        <button key={title} type="button" aria-label={label} onClick={() => press(text)}>
          {title}
        </button>
      ))}
    </div>
  )
}
