import { create } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { Ports, WatchResponseSchema } from '../gen/ports/ports_pb.js'
import type { ListenerMessage, PortsService } from '../platform/ports/service.ts'
import { listMethod } from './list-method.ts'
import { toPortsResponse } from './ports-stream.ts'
import { streamCallerOf } from './request-caller.ts'
import type { UnaryMethod } from './unary-route.ts'

/** The unary calls of the Ports service as `serveUnary` runs them. */
export function portsMethods(ports: PortsService): UnaryMethod[] {
  const field = { name: 'listeners', wrap: (listeners: readonly ListenerMessage[]) => ({ listeners: [...listeners] }) }
  return [listMethod(Ports.method.list, field, ({ filter }) => ports.list(filter))]
}

/** All calls of the Ports service for the library's router. */
export function portsCalls(ports: PortsService): ServiceImpl<typeof Ports> {
  return {
    list: async ({ filter }) => ({ listeners: await ports.list(filter) }),
    async *watch({ filter }, context) {
      for await (const item of ports.watch(filter, streamCallerOf(context)))
        yield create(WatchResponseSchema, toPortsResponse(item))
    },
  }
}
