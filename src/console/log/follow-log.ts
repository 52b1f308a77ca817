import { createClient } from '@connectrpc/connect'
import { useEffect, useState } from 'preact/hooks'
import { Logs } from '../../gen/logs/v1/logs_pb.js'
import { reasonOf } from '../failure.ts'
import { keepStreaming } from '../reconnect.ts'
import type { Session } from '../session.ts'
import { useRedraw } from '../use-redraw.ts'
import { LogEntries, noteOf, parseLine } from './log-model.ts'

/** The log as far as the daemon keeps it, and what is added to it. */
interface FollowedLog {
  readonly entries: LogEntries
  /** Another number whenever there is more. */
  readonly version: number
  readonly failure: string | undefined
}

/** Reads the daemon's log, each line once, also over a restart of the daemon. */
export function useLog(session: Session): FollowedLog {
  const [entries] = useState(() => new LogEntries())
  const { version, redraw } = useRedraw()
  const [failure, setFailure] = useState<string | undefined>(undefined)
  useEffect(() => {
    const left = new AbortController()
    followLog(session, { entries, redraw, signal: left.signal }).catch((error: unknown) => {
      if (!left.signal.aborted) setFailure(reasonOf(error))
    })
    return () => left.abort()
  }, [session, entries, redraw])
  return { entries, version, failure }
}

interface Target {
  readonly entries: LogEntries
  readonly redraw: () => void
  readonly signal: AbortSignal
}

function followLog(session: Session, { entries, redraw, signal }: Target): Promise<void> {
  const client = createClient(Logs, session.transport)
  let run: string | undefined
  let next = 0n
  return keepStreaming(session.connection, signal, async (attempt) => {
    const request = { follow: true, ...(run === undefined ? {} : { run, from: next }) }
    for await (const { event } of client.read(request, attempt)) {
      attempt.heard()
      if (event.case === 'start') {
        if (run !== undefined && run !== event.value.run) entries.add(noteOf('The daemon was started anew.'))
        run = event.value.run
        next = event.value.first
      }
      if (event.case === 'dropped') entries.add(noteOf(`${event.value.lines} lines were dropped.`))
      if (event.case === 'line') {
        entries.add(parseLine(event.value.level, event.value.json))
        next = event.value.number + 1n
      }
      redraw()
    }
    return 'cut'
  })
}
