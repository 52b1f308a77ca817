import {
  create,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import type { ConnectRouter, HandlerContext, ServiceImpl } from '@connectrpc/connect'
import type { ByteBudget } from '../budget/budget.ts'
import type { ServerStream } from '../calls/implementation.ts'
import type { OpenStreams } from '../calls/open-streams.ts'
import type { ServiceTable, TableMethod } from '../calls/service-table.ts'
import { loopTurns } from '../lib/turns.ts'
import { listHandler } from './library-list.ts'
import { callerOf, streamCallerOf } from './request-caller.ts'

interface ServiceDeps {
  readonly budget: ByteBudget
  readonly streams: OpenStreams
}

/** Puts the methods of a service on the library's router. */
export function addService(router: ConnectRouter, { service, methods }: ServiceTable, deps: ServiceDeps): void {
  const handlers = methods.map((method) => [method.description.localName, handlerOf(method, deps)] as const)
  // The table has an entry of the right kind for each method.
  router.service(service, Object.fromEntries(handlers) as ServiceImpl<DescService>)
}

type Request = MessageShape<DescMessage>

function handlerOf(method: TableMethod, { budget, streams }: ServiceDeps) {
  const { implementation } = method
  switch (implementation.kind) {
    case 'unary':
      return (request: Request, context: HandlerContext) => implementation.run(request, callerOf(context))
    case 'list':
      return listHandler(method, implementation, budget)
    case 'client stream':
      return (requests: AsyncIterable<Request>, context: HandlerContext) =>
        implementation.run(requests, callerOf(context))
    case 'server stream':
      return (request: Request, context: HandlerContext) =>
        answers(method, implementation, { request, context, streams })
  }
}

interface LibraryCall {
  readonly request: Request
  readonly context: HandlerContext
  readonly streams: OpenStreams
}

async function* answers(
  { description, name }: TableMethod,
  { open }: ServerStream,
  { request, context, streams }: LibraryCall,
): AsyncGenerator<MessageShape<DescMessage>, void> {
  const caller = streamCallerOf(context)
  const opened = await open(request, caller)
  for (const [header, value] of Object.entries(opened.headers ?? {})) context.responseHeader.set(header, value)
  const leave = streams.add(name, caller, opened.pid)
  try {
    for await (const messages of opened.messages()) {
      for (const message of messages) {
        // One event may be for thousands of streams, or bring thousands of messages.
        const turn = loopTurns.turn(opened)
        if (turn !== undefined) await turn
        yield create(description.output, message as MessageInitShape<DescMessage>)
      }
    }
  } finally {
    leave()
  }
}
