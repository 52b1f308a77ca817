import { createClient } from '@connectrpc/connect'
import { useId, useState } from 'preact/hooks'
import { Process } from '../../gen/process/process_pb.js'
import { Dialog } from '../components/dialog.tsx'
import { Failure } from '../components/failure.tsx'
import { reasonOf } from '../failure.ts'
import type { Session } from '../session.ts'

interface StartDialogProps {
  readonly session: Session
  readonly onStarted: (pid: number) => void
  readonly onClose: () => void
}

/** Asks for a command, and starts it in a shell. It lives on when the page is closed. */
export function StartDialog({ session, onStarted, onClose }: StartDialogProps) {
  const id = useId()
  const [failure, setFailure] = useState('')
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    if (!(event.currentTarget instanceof HTMLFormElement)) return
    const form = new FormData(event.currentTarget)
    const field = (name: string) => String(form.get(name) ?? '').trim()
    start(session, { command: field('command'), cwd: field('cwd'), tag: field('tag') }).then(
      onStarted,
      (error: unknown) => setFailure(reasonOf(error)),
    )
  }
  return (
    <Dialog title="Start a command" onClose={onClose}>
      <form onSubmit={submit}>
        <div class="body">
          <label for={`${id}-command`}>Command, for the shell</label>
          <input id={`${id}-command`} name="command" class="mono" required autocomplete="off" spellcheck={false} />
          <label for={`${id}-cwd`}>Directory (empty: that of the user)</label>
          <input id={`${id}-cwd`} name="cwd" class="mono" autocomplete="off" spellcheck={false} />
          <label for={`${id}-tag`}>Tag (may be empty)</label>
          <input id={`${id}-tag`} name="tag" autocomplete="off" spellcheck={false} />
          <Failure text={failure} />
        </div>
        <footer>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary">
            Start
          </button>
        </footer>
      </form>
    </Dialog>
  )
}

interface Wanted {
  readonly command: string
  readonly cwd: string
  readonly tag: string
}

/** Resolves with the pid, and leaves the stream: its output is read as a job's. */
async function start(session: Session, { command, cwd, tag }: Wanted): Promise<number> {
  const leave = new AbortController()
  const process = { cmd: '/bin/sh', args: ['-l', '-c', command], ...(cwd === '' ? {} : { cwd }) }
  const request = { process, stdin: true, ...(tag === '' ? {} : { tag }) }
  try {
    for await (const { event } of createClient(Process, session.transport).start(request, { signal: leave.signal }))
      if (event?.event.case === 'start') return event.event.value.pid
  } finally {
    leave.abort()
  }
  throw new Error('the daemon did not say its pid')
}
