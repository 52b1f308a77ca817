import { create, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import type { GetRequest, StartRequest, StopRequest, WatchRequest } from '../gen/supervisor/supervisor_pb.js'
import { Cause_Kind as Kind, State, StatusSchema } from '../gen/supervisor/supervisor_pb.js'
import type { Cause } from './cause.ts'
import type { Services } from './services.ts'
import type { Status } from './status.ts'
import type { Supervisor } from './supervisor.ts'

/** A status as clients receive it. */
type StatusMessage = MessageShape<typeof StatusSchema>

/** One item of a Watch stream; the first is a status. */
export type WatchItem = { readonly kind: 'status'; readonly status: StatusMessage } | { readonly kind: 'keepalive' }

/** The calls of `supervisor.Supervisor`. Each rejects with AppError. */
export type SupervisorService = ReturnType<typeof createSupervisorService>

/** Makes the service. Streams end with their callers. */
export function createSupervisorService(services: Services) {
  const answer = (supervisor: Supervisor) => ({ status: toStatus(supervisor.status) })
  return {
    get: ({ service }: GetRequest) => answer(services.find(service)),

    /** The present status of every service. */
    list: () => ({ statuses: services.all.map(({ status }) => toStatus(status)) }),

    /** The present status, then every one that follows; of one service or of all. */
    watch: (request: WatchRequest, caller: StreamCaller) => watch(services, request, caller),

    /** Starts the command of a service again; does not wait until it is ready. */
    start({ service }: StartRequest) {
      const supervisor = services.find(service)
      supervisor.start()
      return answer(supervisor)
    },

    /** Ends the command of a service and answers when it has ended. */
    async stop({ service }: StopRequest, caller: Caller) {
      const supervisor = services.find(service)
      await supervisor.stop(caller.signal)
      return answer(supervisor)
    },
  }
}

async function* watch(
  services: Services,
  { service, all }: WatchRequest,
  { keepalive, signal }: StreamCaller,
): AsyncGenerator<WatchItem, void> {
  const watched = all ? services.all : [services.find(service)]
  const watcher = all ? services.watchAll() : services.find(service).watch()
  try {
    for (const status of watched.map((supervisor) => supervisor.status))
      yield { kind: 'status', status: toStatus(status) }
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

function toStatus(from: Status): StatusMessage {
  const { service, state, sequence, since, reason, cause, pid, restarts, nextStart, output } = from
  return create(StatusSchema, {
    service,
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
