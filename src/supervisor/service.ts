import { create, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { Cause_Kind as Kind, State, StatusSchema } from '../gen/supervisor/supervisor_pb.js'
import type { Caller, StreamCaller } from '../rpc/caller.ts'
import type { Cause } from './cause.ts'
import type { Status } from './status.ts'
import type { Supervisor } from './supervisor.ts'

/** A status as clients are told of it. */
export type StatusMessage = MessageShape<typeof StatusSchema>

/** One item of a Watch stream; the first is a status. */
export type WatchItem = { readonly kind: 'status'; readonly status: StatusMessage } | { readonly kind: 'keepalive' }

/** The calls of `supervisor.Supervisor`. Each rejects with AppError. */
export type SupervisorService = ReturnType<typeof createSupervisorService>

/** Makes the service. Streams end with their callers. */
export function createSupervisorService(supervisor: Supervisor) {
  const answer = () => ({ status: toStatus(supervisor.status) })
  return {
    /** The present status. */
    get: answer,

    /** The present status, then every one that follows. */
    watch: (caller: StreamCaller) => watch(supervisor, caller),

    /** Starts the start command again; does not wait until it is ready. */
    start() {
      supervisor.start()
      return answer()
    },

    /** Ends the start command and answers when it has ended. */
    async stop(caller: Caller) {
      await supervisor.stop(caller.signal)
      return answer()
    },
  }
}

async function* watch(supervisor: Supervisor, { keepalive, signal }: StreamCaller): AsyncGenerator<WatchItem, void> {
  const watcher = supervisor.watch()
  try {
    yield { kind: 'status', status: toStatus(supervisor.status) }
    for (;;) {
      const status = await watcher.next(keepalive, signal)
      yield status === undefined ? { kind: 'keepalive' } : { kind: 'status', status: toStatus(status) }
    }
  } finally {
    watcher.close()
  }
}

const states: Record<Status['state'], State> = {
  waiting: State.WAITING,
  starting: State.STARTING,
  ready: State.READY,
  stopping: State.STOPPING,
  'backing off': State.BACKING_OFF,
  failed: State.FAILED,
  stopped: State.STOPPED,
  degraded: State.DEGRADED,
}

function toStatus({ state, sequence, since, reason, cause, pid, restarts, nextStart, output }: Status): StatusMessage {
  return create(StatusSchema, {
    state: states[state],
    sequence,
    since: timestampFromMs(since),
    reason,
    restarts,
    output: Uint8Array.from(output),
    text: output.toString(),
    ...(cause === undefined ? {} : { cause: toCause(cause) }),
    ...(pid === undefined ? {} : { pid }),
    ...(nextStart === undefined ? {} : { nextStart: timestampFromMs(nextStart) }),
  })
}

function toCause(cause: Cause): NonNullable<MessageInitShape<typeof StatusSchema>['cause']> {
  switch (cause.kind) {
    case 'exit':
      return { kind: Kind.EXIT, exitCode: cause.code }
    case 'signal':
      return { kind: Kind.SIGNAL, signal: cause.signal }
    case 'unknown end':
      return { kind: Kind.END_UNKNOWN }
    case 'out of memory':
      return { kind: Kind.OUT_OF_MEMORY }
    case 'not started':
      return { kind: Kind.NOT_STARTED, message: cause.message }
    case 'not ready':
      return { kind: Kind.NOT_READY }
    case 'not live':
      return { kind: Kind.NOT_LIVE }
    case 'requested':
      return { kind: Kind.REQUESTED }
  }
}
