import { EventType } from '../gen/filesystem/filesystem_pb.js'
import { IN } from './inotify-event.ts'

/** A change below the watched directory. */
export interface Change {
  /** Relative to the watched directory, `.` for itself; U+FFFD for what is not UTF-8. */
  readonly name: string
  readonly type: EventType
}

/** Kernel bits and what clients are told for them, in the order in which one event with several is told (contract C28). */
const kinds: readonly (readonly [number, EventType])[] = [
  [IN.CREATE | IN.MOVED_TO, EventType.CREATE],
  [IN.MOVED_FROM | IN.MOVE_SELF, EventType.RENAME],
  [IN.ATTRIB, EventType.CHMOD],
  [IN.MODIFY, EventType.WRITE],
  [IN.DELETE | IN.DELETE_SELF, EventType.REMOVE],
]

/** What clients are told for an inotify mask. */
export function typesOf(mask: number): EventType[] {
  return kinds.filter(([bits]) => (mask & bits) !== 0).map(([, type]) => type)
}

/** A change of a path with one character per byte; empty: the watched directory itself. */
export function toChange(type: EventType, path: string): Change {
  return { name: path === '' ? '.' : Buffer.from(path, 'latin1').toString(), type }
}
