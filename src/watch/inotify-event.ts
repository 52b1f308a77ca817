/** Bits of an inotify mask (inotify(7)). */
export const IN = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  UNMOUNT: 0x2000,
  Q_OVERFLOW: 0x4000,
  IGNORED: 0x8000,
  ISDIR: 0x40000000,
} as const

/** What is asked of the kernel for every directory (contract C28). */
export const WATCH_MASK =
  IN.MODIFY | IN.ATTRIB | IN.MOVED_FROM | IN.MOVED_TO | IN.CREATE | IN.DELETE | IN.DELETE_SELF | IN.MOVE_SELF

/** One event as the kernel reported it. */
export interface RawEvent {
  /** Counts the events of the instance: a later event has a higher number. */
  readonly seq: number
  /** Watch descriptor; -1 for the overflow of the queue. */
  readonly watch: number
  readonly mask: number
  /** Pairs the two halves of a rename; 0 otherwise. */
  readonly cookie: number
  /** Name in the watched directory, one character per byte; empty for the directory itself. */
  readonly name: string
}

/** What happens to a name. */
const NAMING = IN.CREATE | IN.DELETE | IN.MOVED_FROM | IN.MOVED_TO

/** Whether something happens to a file that has no name yet (O_TMPFILE): the kernel calls it by its inode. */
export function isUnnamed({ mask, name }: RawEvent): boolean {
  return (mask & NAMING) === 0 && /^#\d+$/.test(name)
}

/** Whether it reports an entry that is there now and was not, or was another one. */
export function appears({ mask }: RawEvent): boolean {
  return (mask & (IN.CREATE | IN.MOVED_TO)) !== 0
}

/** Whether it reports an entry that was there and is not any more. */
export function goes({ mask }: RawEvent): boolean {
  return (mask & (IN.DELETE | IN.MOVED_FROM)) !== 0
}

/** Whether it is about a directory. */
export function isOfDirectory({ mask }: RawEvent): boolean {
  return (mask & IN.ISDIR) !== 0
}

const HEADER_BYTES = 16

/** The events in the first `length` bytes that a read of an inotify descriptor returned, numbered from `seq` on. */
export function parseEvents(buffer: Buffer, length: number, seq: number): RawEvent[] {
  const events: RawEvent[] = []
  for (let at = 0; at + HEADER_BYTES <= length; ) {
    const size = buffer.readUInt32LE(at + 12)
    const start = at + HEADER_BYTES
    const padding = size === 0 ? -1 : buffer.indexOf(0, start)
    const end = padding === -1 || padding > start + size ? start + size : padding
    events.push({
      seq: seq + events.length,
      watch: buffer.readInt32LE(at),
      mask: buffer.readUInt32LE(at + 4),
      cookie: buffer.readUInt32LE(at + 8),
      name: buffer.toString('latin1', start, end),
    })
    at = start + size
  }
  return events
}
