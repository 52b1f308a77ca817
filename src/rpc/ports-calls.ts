import { create } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import type { ByteBudget } from '../budget/budget.ts'
import { type ListRequest, Ports, WatchResponseSchema } from '../gen/ports/ports_pb.js'
import type { ListenerMessage, PortsService } from '../ports/service.ts'
import { listHandler, listMethod } from './list-method.ts'
import { toPortsResponse } from './ports-stream.ts'
import { streamCallerOf } from './request-caller.ts'
import type { UnaryMethod } from './unary-route.ts'

/** The unary calls of the Ports service as `serveUnary` runs them. */
export function portsMethods(ports: PortsService, budget: ByteBudget): UnaryMethod[] {
  return [listMethod(...listOf(ports, budget))]
}

function listOf(ports: PortsService, budget: ByteBudget) {
  return [
    Ports.method.list,
    { name: 'listeners', wrap: (listeners: readonly ListenerMessage[]) => ({ listeners: [...listeners] }) },
    { run: ({ filter }: ListRequest) => ports.list(filter), budget },
  ] as const
}

/** All calls of the Ports service for the library's router. */
export function portsCalls(ports: PortsService, budget: ByteBudget): ServiceImpl<typeof Ports> {
  return {
    list: listHandler(...listOf(ports, budget)),
    async *watch({ filter }, context) {
      for await (const item of ports.watch(filter, streamCallerOf(context)))
        yield create(WatchResponseSchema, toPortsResponse(item))
    },
  }
}
