import type { Client } from '@connectrpc/connect'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Terminals } from '../../gen/terminals/v1/terminals_pb.js'
import { onSeen, onUnseen } from '../seen.ts'
import type { ViewProps } from '../views.ts'
import { type Attachment, type AttachmentState, attach } from './attachment.ts'
import { copy } from './clipboard.ts'
import { createEmulator, type Emulator } from './emulator.ts'
import { KeyBar } from './key-bar.tsx'
import { type PageKeys, pressed } from './keys.ts'
import { openLink } from './links.ts'
import { SearchBar } from './search-bar.tsx'
import { StateLine } from './state-line.tsx'
import type { ShownTerminal } from './use-terminals.ts'

/** What the buttons of the view do with the terminal that is shown. */
export interface PaneActions {
  readonly emulator: Emulator
  readonly attachment: Attachment
  readonly search: () => void
}

interface PaneProps extends Pick<ViewProps, 'session' | 'notify' | 'theme'> {
  readonly client: Client<typeof Terminals>
  readonly terminal: ShownTerminal
  /** Others go on behind it. */
  readonly shown: boolean
  readonly onForget: () => void
  readonly keys: Pick<PageKeys, 'step' | 'leave'>
  /** Takes what can be done with it as soon as there is something. */
  readonly onReady: (actions: PaneActions) => void
}

/** One terminal: its screen, what is wrong with it, and the search. */
export function Pane(props: PaneProps) {
  const { terminal, shown, theme, onForget } = props
  const host = useRef<HTMLDivElement>(null)
  const [searching, setSearching] = useState(false)
  const { ready, state } = useAttachment(props, host, () => setSearching(true))
  useEffect(() => ready?.emulator.setTheme(theme), [ready, theme])
  // Before it is painted: what is typed next is meant for it.
  useLayoutEffect(() => {
    if (!shown || ready === undefined) return ready?.attachment.show(false)
    ready.attachment.show(true)
    ready.attachment.resize()
    ready.emulator.focus()
    const endUnseen = onUnseen(() => ready.attachment.show(false))
    const endSeen = onSeen(() => ready.attachment.show(true))
    return () => {
      endUnseen()
      endSeen()
    }
  }, [shown, ready])
  const endSearch = () => {
    setSearching(false)
    ready?.emulator.focus()
  }
  return (
    <section
      class="pane"
      role="tabpanel"
      id={`panel-${terminal.pid}`}
      aria-labelledby={`tab-${terminal.pid}`}
      hidden={!shown}
    >
      <StateLine state={state} onTakeOver={() => ready?.attachment.takeOver()} onForget={onForget} />
      {searching && ready !== undefined ? <SearchBar emulator={ready.emulator} onClose={endSearch} /> : null}
      <div class="screen" ref={host} />
      {ready === undefined ? null : <KeyBar emulator={ready.emulator} />}
    </section>
  )
}

/** Makes the emulator in its element, and keeps it attached until the pane goes. */
function useAttachment(props: PaneProps, host: { readonly current: HTMLDivElement | null }, search: () => void) {
  const [ready, setReady] = useState<PaneActions>()
  const [state, setState] = useState<AttachmentState>({ kind: 'connecting' })
  const latest = useRef(props)
  latest.current = props
  const { pid } = props.terminal
  useEffect(() => {
    if (host.current === null) return undefined
    const { session, client, theme, notify } = latest.current
    const emulator = createEmulator(host.current, theme, openLink)
    const attachment = attach(pid, { client, connection: session.connection, emulator, onState: setState, notify })
    const copied = () => {
      const text = emulator.selection()
      if (text !== '') copy(text).catch((error: unknown) => notify(String(error), 'error'))
    }
    emulator.onKey((event) => pressed(event, { ...latest.current.keys, copy: copied, search }))
    const actions = { emulator, attachment, search }
    setReady(actions)
    latest.current.onReady(actions)
    const observer = observeSize(host.current, attachment)
    return () => {
      observer.disconnect()
      attachment.close()
      emulator[Symbol.dispose]()
    }
  }, [pid])
  return { ready, state }
}

/** A window that is being dragged changes its size at each frame. */
const SETTLED_MS = 100

function observeSize(element: Element, attachment: Attachment): ResizeObserver {
  let timer: ReturnType<typeof setTimeout> | undefined
  const observer = new ResizeObserver(() => {
    clearTimeout(timer)
    timer = setTimeout(() => attachment.resize(), SETTLED_MS)
  })
  observer.observe(element)
  return observer
}
