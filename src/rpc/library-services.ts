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
import type { ServiceTable, TableMethod } from '../calls/service-table.ts'
import { listHandler } from './library-list.ts'
import { callerOf, streamCallerOf } from './request-caller.ts'

/** Puts the methods of a service on the library's router. */
export function addService(router: ConnectRouter, { service, methods }: ServiceTable, budget: ByteBudget): void {
  const handlers = methods.map((method) => [method.description.localName, handlerOf(method, budget)] as const)
  // The table has an entry of the right kind for each method.
  router.service(service, Object.fromEntries(handlers) as ServiceImpl<DescService>)
}

type Request = MessageShape<DescMessage>

function handlerOf(method: TableMethod, budget: ByteBudget) {
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
      return (request: Request, context: HandlerContext) => answers(method, implementation, { request, context })
  }
}

async function* answers(
  { description }: TableMethod,
  { open }: ServerStream,
  { request, context }: { readonly request: Request; readonly context: HandlerContext },
): AsyncGenerator<MessageShape<DescMessage>, void> {
  const opened = await open(request, streamCallerOf(context))
  for await (const messages of opened.messages())
    for (const message of messages) yield create(description.output, message as MessageInitShape<DescMessage>)
}
