import type { Client } from '@connectrpc/connect'
import type { Terminals } from '../../gen/terminals/v1/terminals_pb.js'
import { Confirm, Prompt } from '../components/dialog.tsx'
import type { Notify } from '../components/toast.tsx'
import type { ShownTerminal, ShownTerminals } from './use-terminals.ts'

/** What is asked before something is done: the name of a new terminal, or whether to end one. */
export type Question = 'name' | { readonly end: ShownTerminal | undefined } | undefined

interface QuestionsProps {
  readonly client: Client<typeof Terminals>
  readonly list: ShownTerminals
  readonly question: Question
  readonly ask: (question: Question) => void
  readonly select: (pid: number) => void
  readonly forget: (pid: number) => void
  readonly notify: Notify
}

/** The dialog of the question, and what follows from its answer. */
export function Questions({ client, list, question, ask, select, forget, notify }: QuestionsProps) {
  const leave = () => ask(undefined)
  const failed = (error: unknown) => notify(String(error), 'error')
  const open = async (name: string) => {
    leave()
    const pid = await openTerminal(client, name)
    await list.refresh()
    select(pid)
  }
  const end = async (pid: number) => {
    leave()
    forget(pid)
    await client.close({ terminal: { selector: { case: 'pid', value: pid } } })
    await list.refresh()
  }
  if (question === 'name') {
    const name = freeName(list.terminals ?? [])
    const onSubmit = (text: string) => void open(text).catch(failed)
    return <Prompt title="New terminal" label="Name" value={name} action="Open" onSubmit={onSubmit} onClose={leave} />
  }
  const terminal = question?.end
  if (terminal === undefined) return null
  const onConfirm = () => void end(terminal.pid).catch(failed)
  return (
    <Confirm title={`End ${terminal.title}?`} action="End it" onConfirm={onConfirm} onClose={leave}>
      Its command and all that was started from it are ended. To leave it running, only close this page.
    </Confirm>
  )
}

/** Opens the terminal of that name, or finds it. Its life does not depend on the call, which is left at once. */
async function openTerminal(client: Client<typeof Terminals>, name: string): Promise<number> {
  const leave = new AbortController()
  try {
    for await (const { event } of client.open({ name }, { signal: leave.signal }))
      if (event.case === 'attached') return event.value.pid
  } finally {
    // The stream, and its connection, would go on.
    leave.abort()
  }
  throw new Error('the terminal did not open')
}

function freeName(terminals: readonly ShownTerminal[]): string {
  const names = new Set(terminals.map(({ title }) => title))
  const numbers = Array.from({ length: names.size + 1 }, (_, index) => index + 1)
  return `terminal-${numbers.find((number) => !names.has(`terminal-${number}`)) ?? 1}`
}
