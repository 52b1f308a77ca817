import { createClient } from '@connectrpc/connect'
import { useId, useRef, useState } from 'preact/hooks'
import { Jobs } from '../../gen/jobs/v1/jobs_pb.js'
import { reasonOf } from '../failure.ts'
import type { JobProps } from './job-props.ts'

/** Writes to the standard input, or the terminal, of a job that runs. */
export function StdinForm({ session, job, notify }: JobProps) {
  const id = useId()
  const [text, setText] = useState('')
  const [lineFeed, setLineFeed] = useState(true)
  const [busy, setBusy] = useState(false)
  const written = useRef(job.inputBytes)
  const write = async (data: Uint8Array, eof: boolean) => {
    setBusy(true)
    const client = createClient(Jobs, session.transport)
    // With its offset an answer that was lost can be asked for again: nothing is written twice. Others may write, too.
    const offset = written.current > job.inputBytes ? written.current : job.inputBytes
    const selector = { case: 'pid', value: job.pid } as const
    const request = { job: { selector }, data, eof, offset }
    try {
      const answer = await client.write(request).catch(() => client.write(request))
      written.current = answer.written
      setText('')
      if (eof) notify('Its input is closed.', 'success')
    } catch (error) {
      notify(`Input: ${reasonOf(error)}`, 'error')
    } finally {
      setBusy(false)
    }
  }
  const submit = (event: Event) => {
    event.preventDefault()
    void write(new TextEncoder().encode(text + (lineFeed ? '\n' : '')), false)
  }
  return (
    <form class="bar stdin" onSubmit={submit}>
      <label for={id}>Input</label>
      <input
        id={id}
        class="mono"
        type="text"
        value={text}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <label class="check">
        <input type="checkbox" checked={lineFeed} onChange={(event) => setLineFeed(event.currentTarget.checked)} />
        Line feed
      </label>
      <button type="submit" disabled={busy}>
        Send
      </button>
      <button type="button" disabled={busy} onClick={() => void write(new Uint8Array(), true)}>
        Close input
      </button>
    </form>
  )
}
