import { create, type Message } from '@bufbuild/protobuf'
import type { Interceptor } from '@connectrpc/connect'
import {
  type EntryInfo,
  EntryInfoSchema,
  Filesystem,
  FilesystemEventSchema,
  type ListDirResponse,
  type WatchDirResponse,
} from '../gen/filesystem/filesystem_pb.js'

/** The one client that fails on fields it does not know: exactly this user agent, no prefix (contract J1). */
const LEGACY_AGENT = 'connect-python'

/** Tells the client's developers that the answer was reduced. */
export const LEGACY_HEADER = 'X-E2B-Legacy-SDK'

/** Whether the answers of the Filesystem service are to be reduced for this user agent. */
export function isLegacy(userAgent: string | null): boolean {
  return userAgent === LEGACY_AGENT
}

/**
 * Reduces the answers of the Filesystem service for old Python clients (contract J1 to J5): entries keep name, type and
 * path, events name and type. Errors and the other services are untouched.
 */
export const legacyClients: Interceptor = (next) => async (request) => {
  if (request.service.typeName !== Filesystem.typeName || !isLegacy(request.header.get('user-agent')))
    return next(request)
  const response = await next(request)
  response.header.set(LEGACY_HEADER, 'true')
  if (!response.stream) reduce(response.message)
  else {
    const messages = response.message
    const reduced = async function* () {
      for await (const message of messages) {
        reduce(message)
        yield message
      }
    }
    return { ...response, message: reduced() }
  }
  return response
}

/** Reduces an answer to a unary call in place if it must be; gives whether it was. */
export function reducedFor(userAgent: string, service: string, answer: Message): boolean {
  if (service !== Filesystem.typeName || !isLegacy(userAgent)) return false
  reduce(answer)
  return true
}

/** Takes what old clients do not know out of one answer of the Filesystem service, in place. */
export function reduce(message: Message): void {
  switch (message.$typeName) {
    case 'filesystem.ListDirResponse': {
      // The type name says which message it is, here and below.
      const list = message as ListDirResponse
      list.entries = list.entries.map(reducedEntry)
      return
    }
    case 'filesystem.WatchDirResponse': {
      const { event } = message as WatchDirResponse
      if (event.case === 'filesystem')
        event.value = create(FilesystemEventSchema, { name: event.value.name, type: event.value.type })
      return
    }
    case 'filesystem.GetWatcherEventsResponse': {
      const polled = message as Message & { events: { name: string; type: number }[] }
      polled.events = polled.events.map(({ name, type }) => create(FilesystemEventSchema, { name, type }))
      return
    }
    default: {
      const single = message as Message & { entry?: EntryInfo }
      if (single.entry !== undefined) single.entry = reducedEntry(single.entry)
    }
  }
}

function reducedEntry({ name, type, path }: EntryInfo): EntryInfo {
  return create(EntryInfoSchema, { name, type, path })
}
