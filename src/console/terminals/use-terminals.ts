import type { Client } from '@connectrpc/connect'
import { useCallback, useEffect, useState } from 'preact/hooks'
import type { Terminals } from '../../gen/terminals/v1/terminals_pb.js'

/** One that lives, or has ended while it was shown. */
export interface ShownTerminal {
  readonly pid: number
  /** Its name; without one its pid. */
  readonly title: string
  /** What its program has set as title. */
  readonly note: string
}

/** Others may open and end terminals as well. */
const INTERVAL_MS = 3_000

/** What the view knows of the terminals of the sandbox. */
export interface ShownTerminals {
  /** Undefined until it is known. */
  readonly terminals: readonly ShownTerminal[] | undefined
  /** Looks again, now. */
  readonly refresh: () => Promise<void>
  /** No longer shows one that has ended. */
  readonly forget: (pid: number) => void
}

/** Lists the terminals that live, again and again. Those in `kept` are listed also after their end. */
export function useTerminals(client: Client<typeof Terminals>, kept: ReadonlySet<number>): ShownTerminals {
  const [terminals, setTerminals] = useState<readonly ShownTerminal[]>()
  const refresh = useCallback(async () => {
    const { terminals: living } = await client.list({})
    const now = living.map(({ pid, name, title }) => ({ pid, title: name === '' ? `pid ${pid}` : name, note: title }))
    const pids = new Set(now.map(({ pid }) => pid))
    setTerminals((before = []) => {
      const left = before.filter(({ pid }) => kept.has(pid) && !pids.has(pid))
      return [...left, ...now].sort((a, b) => a.pid - b.pid)
    })
  }, [client, kept])
  useEffect(() => {
    const look = () => {
      // A failure is shown by the banner, and the next look follows.
      if (document.visibilityState === 'visible') refresh().catch(() => {})
    }
    look()
    const timer = setInterval(look, INTERVAL_MS)
    return () => clearInterval(timer)
  }, [refresh])
  const forget = useCallback((pid: number) => {
    setTerminals((before) => before?.filter((terminal) => terminal.pid !== pid))
  }, [])
  return { terminals, refresh, forget }
}
