/** Whether the daemon answers. */
export type ConnectionState = 'connected' | 'lost'

/** What the page knows of its way to the daemon. */
export interface Connection {
  readonly state: ConnectionState
  /** Calls `listener` at each change, until what is returned is called. */
  subscribe(listener: (state: ConnectionState) => void): () => void
  /** Resolves as soon as the daemon answers, at once if it does. Rejects when the signal is aborted. */
  returned(signal: AbortSignal): Promise<void>
  /** Takes what a request has shown. */
  report(state: ConnectionState): void
  /** Asks the daemon now; resolves with the answer. */
  check(): Promise<ConnectionState>
  /** Ends the questions. */
  close(): void
}

/** While it answers; a daemon that has gone is noticed by the next request that fails, or by this. */
const INTERVAL_MS = 5_000
/** While it does not. */
const RETRY_MS = 1_000
const TIMEOUT_MS = 4_000

/** Asks `GET /health` of the daemon at `baseUrl` again and again while the page is visible. The caller closes it. */
export function watchConnection(baseUrl: string): Connection {
  const listeners = new Set<(state: ConnectionState) => void>()
  const ended = new AbortController()
  let state: ConnectionState = 'connected'
  let timer: ReturnType<typeof setTimeout> | undefined
  const report = (next: ConnectionState) => {
    if (next === state || ended.signal.aborted) return
    state = next
    for (const listener of [...listeners]) listener(state)
    schedule()
  }
  const check = async () => {
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(TIMEOUT_MS)])
    const answer = await fetch(`${baseUrl}/health`, { signal, cache: 'no-store' }).catch(() => undefined)
    const next = answer?.ok === true ? 'connected' : 'lost'
    report(next)
    return next
  }
  const schedule = () => {
    clearTimeout(timer)
    if (ended.signal.aborted) return
    timer = setTimeout(() => void checkIfVisible(), state === 'lost' ? RETRY_MS : INTERVAL_MS)
  }
  const checkIfVisible = async () => {
    if (document.visibilityState === 'visible') await check()
    schedule()
  }
  for (const event of ['online', 'offline'])
    window.addEventListener(event, () => void check(), { signal: ended.signal })
  document.addEventListener('visibilitychange', () => void checkIfVisible(), { signal: ended.signal })
  schedule()
  const subscribe = (listener: (state: ConnectionState) => void) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  return {
    get state() {
      return state
    },
    ...{ subscribe, report, check },
    returned: (signal) => (state === 'connected' ? Promise.resolve() : nextReturn(subscribe, signal)),
    close: () => {
      ended.abort()
      clearTimeout(timer)
    },
  }
}

function nextReturn(subscribe: Connection['subscribe'], signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const unsubscribe = subscribe((state) => state === 'connected' && resolve())
  const stop = () => reject(signal.reason)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  return promise.finally(() => {
    unsubscribe()
    signal.removeEventListener('abort', stop)
  })
}
