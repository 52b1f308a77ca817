import { type Answer, type CallOptions, call, open, type Stream } from '../_util/rpc.ts'

/** An entry as JSON has it; absent fields have their default. */
export interface EventEntry {
  readonly name: string
  readonly path: string
  readonly type: string
  readonly size?: string
  readonly permissions?: string
  readonly owner?: string
}

export interface FileEvent {
  readonly name: string
  readonly type: string
  readonly entry?: EventEntry
}

/** What `WatchDir` streams. */
export interface WatchMessage {
  readonly start?: Record<string, never>
  readonly filesystem?: FileEvent
  readonly keepalive?: Record<string, never>
}

/** What watching is asked for, as JSON. */
export interface WatchRequest {
  readonly path: string
  readonly recursive?: boolean
  readonly includeEntry?: boolean
  readonly allowNetworkMounts?: boolean
}

/** The watching calls of a daemon. */
export function watchCalls(url: () => string) {
  const unary = (method: string, message: unknown, options: CallOptions = {}): Promise<Answer> =>
    call(url(), `filesystem.Filesystem/${method}`, message, options)
  /** An answer's body; throws for an error. */
  const body = async <T>(answer: Promise<Answer>): Promise<T> => {
    const { status, body: value } = await answer
    if (status !== 200) throw new Error(`${status} ${JSON.stringify(value)}`)
    // The caller names what its call answers.
    return value as T
  }
  const events = async (watcherId: string): Promise<FileEvent[]> =>
    (await body<{ events?: FileEvent[] }>(unary('GetWatcherEvents', { watcherId }))).events ?? []
  return {
    unary,
    events,
    /** The events of a poll as `CREATE name`. */
    reported: async (watcherId: string) => (await events(watcherId)).map(shown),
    createWatcher: async (request: WatchRequest, options?: CallOptions) =>
      (await body<{ watcherId: string }>(unary('CreateWatcher', request, options))).watcherId,
    /** A stream that has started. */
    watchDir: async (request: WatchRequest, options?: CallOptions): Promise<Stream<WatchMessage>> => {
      const stream = await open<WatchMessage>(url(), 'filesystem.Filesystem/WatchDir', request, options)
      const first = await stream.next()
      if (first.start === undefined) throw new Error(`no start: ${JSON.stringify(first)}`)
      return stream
    },
  }
}

/** `CREATE name`. */
export function shown({ type, name }: FileEvent): string {
  return `${type.replace('EVENT_TYPE_', '')} ${name}`
}

/** The next events of a stream, as `CREATE name`. */
export async function nextOf(stream: Stream<WatchMessage>, count: number): Promise<string[]> {
  const lines: string[] = []
  while (lines.length < count) {
    const { filesystem } = await stream.next()
    if (filesystem !== undefined) lines.push(shown(filesystem))
  }
  return lines
}
