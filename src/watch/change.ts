import { isUtf8 } from 'node:buffer'
import { EventType } from '../gen/filesystem/filesystem_pb.js'
import { IN } from './inotify-event.ts'

/** A change below the watched directory. */
export interface Change {
  /** Relative to the watched directory, `.` for itself; U+FFFD for what is not UTF-8. */
  readonly name: string
  /** The bytes of a name that is not UTF-8. */
  readonly raw?: Buffer
  readonly type: EventType
}

/** How a type of change comes about, and what may be said of it. */
interface Kind {
  /** Bits of the kernel's event. */
  readonly bits: number
  /** Place among the changes that one event of the kernel stands for (contract C28). */
  readonly order: number
  /** The entry is gone from its path: there is nothing to look at. */
  readonly gone: boolean
}

/** A new type of the proto does not compile until it is here. */
const KINDS: Readonly<Record<Exclude<EventType, EventType.UNSPECIFIED>, Kind>> = {
  [EventType.CREATE]: { bits: IN.CREATE | IN.MOVED_TO, order: 1, gone: false },
  [EventType.RENAME]: { bits: IN.MOVED_FROM | IN.MOVE_SELF, order: 2, gone: true },
  [EventType.CHMOD]: { bits: IN.ATTRIB, order: 3, gone: false },
  [EventType.WRITE]: { bits: IN.MODIFY, order: 4, gone: false },
  [EventType.REMOVE]: { bits: IN.DELETE | IN.DELETE_SELF, order: 5, gone: true },
}

const inOrder = Object.entries(KINDS)
  .map(([type, kind]) => ({ type: Number(type) as keyof typeof KINDS, ...kind })) // Keys of objects are text.
  .sort((a, b) => a.order - b.order)

/** Whether an entry is gone from its path after a change of that type. */
export function isGone(type: EventType): boolean {
  return type !== EventType.UNSPECIFIED && KINDS[type].gone
}

/** What clients receive for an inotify mask. */
export function typesOf(mask: number): EventType[] {
  return inOrder.filter(({ bits }) => (mask & bits) !== 0).map(({ type }) => type)
}

/** A change of a path with one character per byte; empty: the watched directory itself. */
export function toChange(type: EventType, path: string): Change {
  if (path === '') return { name: '.', type }
  const bytes = Buffer.from(path, 'latin1')
  const name = bytes.toString()
  return isUtf8(bytes) ? { name, type } : { name, raw: bytes, type }
}
