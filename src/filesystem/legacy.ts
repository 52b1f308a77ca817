import { create, type Message } from '@bufbuild/protobuf'
import {
  type EntryInfo,
  EntryInfoSchema,
  FilesystemEventSchema,
  type ListDirResponse,
  type WatchDirResponse,
} from '../gen/filesystem/filesystem_pb.js'

/**
 * Takes what the first Python clients do not know out of one answer of the Filesystem service, in place (contract J1 to
 * J5): entries keep name, type and path, events name and type.
 */
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
