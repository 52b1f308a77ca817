import type { Message } from '@bufbuild/protobuf'
import type { Interceptor } from '@connectrpc/connect'
import { type Caller, isLegacy } from '../calls/caller.ts'
import type { ServiceTable, TableMethod } from '../calls/service-table.ts'

/** Shows the client's developers that the answer was reduced. */
export const LEGACY_HEADER = 'X-E2B-Legacy-SDK'

type Reduce = (answer: Message) => void

/** What an answer to this caller must be reduced with; undefined: it goes as it is. */
export function reducing({ reduce }: TableMethod, caller: Pick<Caller, 'userAgent'>): Reduce | undefined {
  return isLegacy(caller) ? reduce : undefined
}

/** The same for the library. Errors are untouched. */
export function legacyClients(services: readonly ServiceTable[]): Interceptor {
  const methods = new Map(services.flatMap((table) => table.methods.map((method) => [method.description, method])))
  return (next) => async (request) => {
    const method = methods.get(request.method)
    const userAgent = request.header.get('user-agent') ?? ''
    const reduce = method === undefined ? undefined : reducing(method, { userAgent })
    const response = await next(request)
    if (reduce === undefined) return response
    response.header.set(LEGACY_HEADER, 'true')
    if (response.stream) return { ...response, message: reduced(response.message, reduce) }
    reduce(response.message)
    return response
  }
}

async function* reduced<T extends Message>(messages: AsyncIterable<T>, reduce: Reduce): AsyncGenerator<T, void> {
  for await (const message of messages) {
    reduce(message)
    yield message
  }
}
