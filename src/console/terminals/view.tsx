import './style.css'
import { createClient } from '@connectrpc/connect'
import { useMemo, useRef, useState } from 'preact/hooks'
import { Terminals } from '../../gen/terminals/v1/terminals_pb.js'
import { Tabs } from '../components/tabs.tsx'
import type { ViewProps } from '../views.ts'
import { Pane, type PaneActions } from './pane.tsx'
import { type Question, Questions } from './questions.tsx'
import { Toolbar } from './toolbar.tsx'
import { useTerminals } from './use-terminals.ts'

/** The terminals of the sandbox, one tab for each. One is attached to when its tab is first selected. */
export function View(props: ViewProps) {
  const { session, path, navigate, notify } = props
  const client = useMemo(() => createClient(Terminals, session.transport), [session])
  const [opened] = useState(() => new Set<number>())
  const list = useTerminals(client, opened)
  const [question, ask] = useState<Question>()
  const panes = useRef(new Map<number, PaneActions>())
  const { terminals = [] } = list
  const selected = terminals.find(({ pid }) => path === `/${pid}`) ?? terminals[0]
  if (selected !== undefined) opened.add(selected.pid)
  const select = (pid: number | string) => navigate(`/${pid}`)
  const step = (by: 1 | -1) => {
    const at = terminals.findIndex(({ pid }) => pid === selected?.pid)
    const next = terminals[(at + by + terminals.length) % terminals.length]
    if (next !== undefined) select(next.pid)
  }
  const leave = () => document.getElementById(`tab-${selected?.pid}`)?.focus()
  const forget = (pid: number) => {
    opened.delete(pid)
    panes.current.delete(pid)
    list.forget(pid)
  }
  return (
    <div class="terminals">
      <div class="bar">
        <Tabs
          label="Terminals"
          tabs={terminals.map(({ pid, title, note }) => ({ id: String(pid), title, note }))}
          selected={selected && String(selected.pid)}
          onSelect={select}
          onClose={(id) => ask({ end: terminals.find(({ pid }) => id === String(pid)) })}
        />
        <Toolbar {...{ client, notify, selected, ask }} actionsOf={(pid) => panes.current.get(pid)} />
      </div>
      {list.terminals?.length === 0 ? <p class="empty">No terminal is open.</p> : null}
      {terminals
        .filter(({ pid }) => opened.has(pid))
        .map((terminal) => (
          <Pane
            key={terminal.pid}
            {...{ ...props, client, terminal, keys: { step, leave } }}
            shown={terminal === selected}
            onForget={() => forget(terminal.pid)}
            onReady={(actions) => panes.current.set(terminal.pid, actions)}
          />
        ))}
      <Questions {...{ client, list, question, ask, select, notify, forget }} />
    </div>
  )
}
