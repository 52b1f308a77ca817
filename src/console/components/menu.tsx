import { useLayoutEffect, useRef, useState } from 'preact/hooks'

/** One thing that a menu offers. */
export interface MenuItem {
  readonly title: string
  readonly onSelect: () => void
  readonly danger?: boolean
  readonly disabled?: boolean
}

interface MenuProps {
  /** On the button that opens it. */
  readonly title: string
  /** What screen readers say, if that is another text. */
  readonly label?: string
  readonly items: readonly MenuItem[]
}

/** A button with a list of actions below it: arrow keys choose, Escape and a click elsewhere close. */
export function Menu({ title, label, items }: MenuProps) {
  const [open, setOpen] = useState(false)
  const root = useRef<HTMLDivElement>(null)
  // Before the paint: a key that is pressed at once is for the item.
  useLayoutEffect(() => {
    if (!open) return undefined
    root.current?.querySelector<HTMLElement>('[role=menuitem]:not(:disabled)')?.focus()
    const elsewhere = (event: Event) => {
      if (event.target instanceof Node && root.current?.contains(event.target) === true) return
      setOpen(false)
    }
    document.addEventListener('pointerdown', elsewhere)
    return () => document.removeEventListener('pointerdown', elsewhere)
  }, [open])
  const close = () => {
    setOpen(false)
    root.current?.querySelector('button')?.focus()
  }
  const select = (item: MenuItem) => {
    close()
    item.onSelect()
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys bubble up from the items
    <div class="menu" ref={root} onKeyDown={(event) => onKey(event, close)}>
      <button type="button" aria-haspopup="menu" aria-expanded={open} aria-label={label} onClick={() => setOpen(!open)}>
        {title}
      </button>
      {open ? <Items items={items} select={select} /> : null}
    </div>
  )
}

function Items({ items, select }: { readonly items: readonly MenuItem[]; readonly select: (item: MenuItem) => void }) {
  return (
    <div role="menu" class="items">
      {items.map((item) => (
        <button
          key={item.title}
          type="button"
          role="menuitem"
          tabIndex={-1}
          disabled={item.disabled === true}
          class={item.danger === true ? 'danger' : ''}
          onClick={() => select(item)}
        >
          {item.title}
        </button>
      ))}
    </div>
  )
}

function onKey(event: KeyboardEvent & { readonly currentTarget: HTMLElement }, close: () => void): void {
  const items = [...event.currentTarget.querySelectorAll<HTMLElement>('[role=menuitem]:not(:disabled)')]
  if (items.length === 0) return
  const at = items.indexOf(document.activeElement as HTMLElement)
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key]
  if (event.key === 'Escape') close()
  else if (next !== undefined) items[(next + items.length) % items.length]?.focus()
  else return
  event.preventDefault()
  event.stopPropagation()
}
