import { create, type MessageInitShape } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { Supervisor, WatchRequestSchema, WatchResponseSchema } from '../gen/supervisor/supervisor_pb.js'
import type { SupervisorService, WatchItem } from '../supervisor/service.ts'
import { type Codec, messageFrame } from './message-frame.ts'
import { callerOf, streamCallerOf } from './request-caller.ts'
import type { StreamMethod } from './stream-route.ts'
import { type UnaryMethod, unaryMethod } from './unary-route.ts'

/** The unary calls of the Supervisor service, as `serveUnary` runs them. */
export function supervisorMethods(service: SupervisorService): UnaryMethod[] {
  return [
    unaryMethod(Supervisor.method.get, (request) => service.get(request)),
    unaryMethod(Supervisor.method.list, () => service.list()),
    unaryMethod(Supervisor.method.start, (request) => service.start(request)),
    unaryMethod(Supervisor.method.stop, (request, caller) => service.stop(request, caller)),
  ]
}

/** Its Watch, as `serveStream` runs it. */
export function supervisorStream(service: SupervisorService): StreamMethod<typeof WatchRequestSchema> {
  return {
    name: 'supervisor.Supervisor/Watch',
    input: WatchRequestSchema,
    async open(request, caller, codec) {
      return { frames: framesOf(service.watch(request, caller), codec), ended: caller.signal }
    },
  }
}

/** All of it for the library's router. */
export function supervisorCalls(service: SupervisorService): ServiceImpl<typeof Supervisor> {
  return {
    get: (request) => service.get(request),
    list: () => service.list(),
    start: (request) => service.start(request),
    stop: (request, context) => service.stop(request, callerOf(context)),
    async *watch(request, context) {
      for await (const item of service.watch(request, streamCallerOf(context)))
        yield create(WatchResponseSchema, toWatchResponse(item))
    },
  }
}

async function* framesOf(items: AsyncIterable<WatchItem>, codec: Codec): AsyncGenerator<Uint8Array, void> {
  for await (const item of items)
    yield messageFrame(WatchResponseSchema, create(WatchResponseSchema, toWatchResponse(item)), codec)
}

function toWatchResponse(item: WatchItem): MessageInitShape<typeof WatchResponseSchema> {
  if (item.kind === 'keepalive') return { event: { case: 'keepalive', value: {} } }
  return { event: { case: 'status', value: item.status } }
}
