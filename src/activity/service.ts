import type { MessageInitShape } from '@bufbuild/protobuf'
import { type Timestamp, timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { StreamCaller } from '../calls/caller.ts'
import type { OpenedStream } from '../calls/open-streams.ts'
import { Kind, type ReasonSchema, type StatusSchema } from '../gen/activity/v1/activity_pb.js'
import { WakeUp } from '../lib/wake-up.ts'
import type { ActivityStatus, Observer } from './observer.ts'
import { type Kind as KindName, type Reason, WINDOW_MS } from './reasons.ts'

type StatusMessage = MessageInitShape<typeof StatusSchema>

/** One item of a watch stream. */
export type ActivityItem = { readonly kind: 'status'; readonly status: StatusMessage } | { readonly kind: 'keepalive' }

/** The calls of `activity.v1.Activity`. */
export type ActivityService = ReturnType<typeof createActivityService>

/** Milliseconds between two observations while there are `Watch` calls, which share them. */
const LOOK_MS = 1_000

/** Makes the service. It does nothing without calls. */
export function createActivityService(observer: Pick<Observer, 'status'>) {
  // The message is one for all who watch.
  let latest: { readonly at: number; readonly identity: string; readonly message: StatusMessage } | undefined
  const take = () => {
    const status = observer.status()
    latest = { at: performance.now(), identity: identity(status), message: toMessage(status) }
    return latest
  }
  // One text for all, and not one for each who does not read.
  const shared = () => (latest === undefined || performance.now() - latest.at >= LOOK_MS / 2 ? take() : latest)
  const look = new WakeUp()
  return {
    /** The state as it is now. */
    get: () => ({ status: toMessage(observer.status()) }),

    /** The state, then each change of it. Rejects with the reason of the caller's signal. */
    async *watch(caller: StreamCaller): AsyncGenerator<ActivityItem, void> {
      const first = take()
      let sent = first.identity
      yield { kind: 'status', status: first.message }
      let silent = performance.now()
      for (;;) {
        // Never woken: a pause that the signal ends.
        await look.wait(Math.min(LOOK_MS, caller.keepalive), caller.signal)
        const { message, identity: now } = shared()
        if (now !== sent) yield { kind: 'status', status: message }
        else if (performance.now() - silent >= caller.keepalive) yield { kind: 'keepalive' }
        else continue
        sent = now
        silent = performance.now()
      }
    },
  }
}

/** The same for states that differ in their times only. */
function identity({ busy, reasons, more }: ActivityStatus): string {
  const of = ({ kind, process, stream, port, count }: Reason) =>
    [kind, process?.pid, stream?.method, stream?.since, port, count].join(' ')
  return [busy, more, ...reasons.map(of)].join('\n')
}

const KIND_NUMBERS: Readonly<Record<KindName, Kind>> = {
  cpu: Kind.CPU,
  output: Kind.OUTPUT,
  input: Kind.INPUT,
  stream: Kind.STREAM,
  port: Kind.PORT,
  upload: Kind.UPLOAD,
  download: Kind.DOWNLOAD,
  call: Kind.CALL,
}

function toMessage({ busy, since, idleSeconds, reasons, more, lastSigns }: ActivityStatus): StatusMessage {
  return {
    busy,
    since: wallClock(since),
    idleSeconds,
    reasons: reasons.map(toReason),
    moreReasons: more,
    lastSigns: [...lastSigns].map(([kind, at]) => ({ kind: KIND_NUMBERS[kind], time: wallClock(at) })),
    windowSeconds: WINDOW_MS / 1000,
  }
}

function toReason(reason: Reason): MessageInitShape<typeof ReasonSchema> {
  const { kind, lastSign, process, stream, port = 0, count = 0 } = reason
  const tag = process?.tag
  return {
    kind: KIND_NUMBERS[kind],
    lastSign: wallClock(lastSign),
    pid: process?.pid ?? stream?.pid ?? 0,
    ...(tag === undefined ? {} : { tag }),
    command: process?.command ?? '',
    port,
    ...(kind === 'port' ? { connections: count } : { transfers: count }),
    ...(stream === undefined ? {} : { reader: toReader(stream) }),
  }
}

function toReader({ method, userAgent, user, address, since }: OpenedStream) {
  return { method, userAgent, user, address, since: wallClock(since) }
}

/** A moment of performance.now() by the wall clock as it is set now. */
function wallClock(at: number): Timestamp {
  return timestampFromMs(Math.round(Date.now() - (performance.now() - at)))
}
