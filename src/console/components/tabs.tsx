/** One of a row of tabs. */
interface Tab {
  readonly id: string
  readonly title: string
  /** Beside the title: a short state. */
  readonly note?: string
}

interface TabsProps {
  /** What they choose between. */
  readonly label: string
  readonly tabs: readonly Tab[]
  readonly selected: string | undefined
  readonly onSelect: (id: string) => void
  /** Tabs that can be closed have a button for it. */
  readonly onClose?: (id: string) => void
}

/**
 * A row of tabs: arrow keys, Home and End go from one to the other, Delete closes one. What is shown below has `role`
 * `tabpanel` and the id `panel-<id>`.
 */
export function Tabs({ label, tabs, selected, onSelect, onClose }: TabsProps) {
  const onKeyDown = (event: KeyboardEvent) => {
    const at = tabs.findIndex(({ id }) => id === selected)
    if (event.key === 'Delete' && selected !== undefined) return onClose?.(selected)
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key]
    const tab = next === undefined ? undefined : tabs[(next + tabs.length) % tabs.length]
    if (tab === undefined) return
    event.preventDefault()
    onSelect(tab.id)
    document.getElementById(`tab-${tab.id}`)?.focus()
  }
  return (
    <div class="tabs">
      {/* A list of tabs may have nothing else in it, such as their buttons to close them. */}
      <div role="tablist" aria-label={label} aria-owns={tabs.map(({ id }) => `tab-${id}`).join(' ')} />
      {tabs.map((tab) => (
        <TabButton key={tab.id} chosen={tab.id === selected} {...{ tab, onSelect, onClose, onKeyDown }} />
      ))}
    </div>
  )
}

interface TabButtonProps {
  readonly tab: Tab
  readonly chosen: boolean
  readonly onSelect: (id: string) => void
  readonly onClose: ((id: string) => void) | undefined
  readonly onKeyDown: (event: KeyboardEvent) => void
}

function TabButton({ tab, chosen, onSelect, onClose, onKeyDown }: TabButtonProps) {
  return (
    <div class={chosen ? 'tab selected' : 'tab'} role="presentation">
      <button
        type="button"
        role="tab"
        id={`tab-${tab.id}`}
        aria-selected={chosen}
        aria-controls={chosen ? `panel-${tab.id}` : undefined}
        tabIndex={chosen ? 0 : -1}
        onClick={() => onSelect(tab.id)}
        onKeyDown={onKeyDown}
      >
        {tab.title}
        {tab.note === undefined ? null : <span class="note">{tab.note}</span>}
      </button>
      {onClose === undefined ? null : (
        // Not in the order of the Tab key: the Delete key does the same.
        <button
          type="button"
          class="icon"
          tabIndex={-1}
          aria-label={`Close ${tab.title}`}
          onClick={() => onClose(tab.id)}
        >
          ×
        </button>
      )}
    </div>
  )
}
