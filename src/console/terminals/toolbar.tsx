import type { Client } from '@connectrpc/connect'
import { useRef, useState } from 'preact/hooks'
import type { Terminals } from '../../gen/terminals/v1/terminals_pb.js'
import { Menu } from '../components/menu.tsx'
import type { Notify } from '../components/toast.tsx'
import { copy, read } from './clipboard.ts'
import type { PaneActions } from './pane.tsx'
import type { Question } from './questions.tsx'
import { type Recording, record } from './recording.ts'
import { save } from './save.ts'
import type { ShownTerminal } from './use-terminals.ts'

interface ToolbarProps {
  readonly client: Client<typeof Terminals>
  readonly selected: ShownTerminal | undefined
  readonly ask: (question: Question) => void
  readonly actionsOf: (pid: number) => PaneActions | undefined
  readonly notify: Notify
}

/** What can be done with the terminal that is shown, and the button for a new one. */
export function Toolbar({ client, selected, ask, actionsOf, notify }: ToolbarProps) {
  const recordings = useRecordings(client, notify)
  const [readers, setReaders] = useState<ReadonlySet<number>>(new Set())
  const attempt = (work: Promise<void>) => void work.catch((error: unknown) => notify(String(error), 'error'))
  const items = (terminal: ShownTerminal) => {
    const actions = () => actionsOf(terminal.pid)
    const reads = readers.has(terminal.pid)
    const listen = () => {
      actions()?.emulator.setScreenReader(!reads)
      setReaders((before) => changed(before, terminal.pid))
    }
    return [
      { title: 'Copy selection', onSelect: () => attempt(copy(actions()?.emulator.selection() ?? '')) },
      { title: 'Paste', onSelect: () => attempt(read().then((text) => actions()?.emulator.paste(text))) },
      { title: 'Find…', onSelect: () => actions()?.search() },
      { title: 'Take over', onSelect: () => actions()?.attachment.takeOver() },
      { title: 'Fit to this window', onSelect: () => actions()?.attachment.resize() },
      recordings.has(terminal.pid)
        ? { title: 'Save recording', onSelect: () => attempt(recordings.stop(terminal)) }
        : { title: 'Record', onSelect: () => recordings.start(terminal) },
      { title: reads ? 'Screen reader: on' : 'Screen reader: off', onSelect: listen },
      { title: 'End…', danger: true, onSelect: () => ask({ end: terminal }) },
    ]
  }
  return (
    <>
      <button type="button" aria-label="New terminal" onClick={() => ask('name')}>
        New<span class="minor"> terminal</span>
      </button>
      <span class="space" />
      {selected === undefined ? null : (
        <>
          {recordings.has(selected.pid) ? <span class="recording">● recording</span> : null}
          <Menu title="Actions ▾" label={`Actions for ${selected.title}`} items={items(selected)} />
        </>
      )}
    </>
  )
}

/** The recordings of the page, one for each terminal at a time. */
function useRecordings(client: Client<typeof Terminals>, notify: Notify) {
  const recordings = useRef(new Map<number, Recording>())
  const [pids, setPids] = useState<ReadonlySet<number>>(new Set())
  return {
    has: (pid: number) => pids.has(pid),
    start: ({ pid, title }: ShownTerminal) => {
      const full = () => notify(`The recording of ${title} is full: save it.`, 'error')
      recordings.current.set(pid, record(client, pid, full))
      setPids((before) => changed(before, pid))
    },
    stop: async ({ pid, title }: ShownTerminal) => {
      const recording = recordings.current.get(pid)
      recordings.current.delete(pid)
      setPids((before) => changed(before, pid))
      if (recording !== undefined) save(await recording.stop(), `${title.replace(/[^\w.-]+/g, '_')}.cast`)
    },
  }
}

/** With the pid if it was without, and the other way round. */
function changed(pids: ReadonlySet<number>, pid: number): ReadonlySet<number> {
  const next = new Set(pids)
  if (!next.delete(pid)) next.add(pid)
  return next
}
