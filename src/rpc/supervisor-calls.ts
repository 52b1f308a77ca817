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
    unaryMethod(Supervisor.method.get, () => service.get()),
    unaryMethod(Supervisor.method.start, () => service.start()),
    unaryMethod(Supervisor.method.stop, (_request, caller) => service.stop(caller)),
  ]
}

/** Its Watch, as `serveStream` runs it. */
export function supervisorStream(service: SupervisorService): StreamMethod<typeof WatchRequestSchema> {
  return {
    name: 'supervisor.Supervisor/Watch',
    input: WatchRequestSchema,
    async open(_request, caller, codec) {
      return { frames: framesOf(service.watch(caller), codec), ended: caller.signal }
    },
  }
}

/** All of it for the library's router. */
export function supervisorCalls(service: SupervisorService): ServiceImpl<typeof Supervisor> {
  return {
    get: () => service.get(),
    start: () => service.start(),
    stop: (_request, context) => service.stop(callerOf(context)),
    async *watch(_request, context) {
      for await (const item of service.watch(streamCallerOf(context)))
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
