/** One message between daemon and keeper; `src/keeper/protocol.h` says the same. */
export interface Message {
  readonly type: number
  readonly pid: number
  readonly key: number
  readonly status: number
  readonly value: number
}

/** Types of messages. */
export const PUT = 1
export const DROP = 2
export const EXITED = 3
export const TAKE = 4
export const UP = 5
export const LEAVE = 6
export const END = 7
export const REFUSED = 8
export const TRIM = 9
export const NEXT = 10
export const READY = 11
export const CANCEL = 12

/** In the value of END: this daemon is on trial, or in the place of one that was. */
export const TRIAL = 1
export const WENT_BACK = 2
/** In the same: the keeper hears what the daemon is about to start, see `Keeper.putByChild`. */
export const HEARS_CHILDREN = 4

/** In the value of a PUT to the daemon: the process has ended. The other bits are the note. */
export const ENDED = 0x8000_0000

/** Size of `struct keeper_message`. */
export const MESSAGE_BYTES = 24

/** Keys are below that. */
export const MAX_KEYS = 65_536

/**
 * The message in the byte order of the machines that the daemon runs on, all of which are little-endian.
 * @param path what stands behind it, at most 4,095 bytes (PATH_MAX without its end); undefined: nothing.
 */
export function encode({ type, pid, key, status, value }: Message, path?: string): Buffer {
  const text = path === undefined ? '' : `${path}\0`
  const bytes = Buffer.alloc(MESSAGE_BYTES + Buffer.byteLength(text))
  bytes.write(text, MESSAGE_BYTES)
  bytes.writeUInt32LE(type, 0)
  bytes.writeInt32LE(pid, 4)
  bytes.writeUInt32LE(key, 8)
  bytes.writeInt32LE(status, 16)
  bytes.writeUInt32LE(value, 20)
  return bytes
}

/** Undefined: it is no whole message. */
export function decode(bytes: Buffer, length: number): Message | undefined {
  if (length !== MESSAGE_BYTES) return undefined
  return {
    type: bytes.readUInt32LE(0),
    pid: bytes.readInt32LE(4),
    key: bytes.readUInt32LE(8),
    status: bytes.readInt32LE(16),
    value: bytes.readUInt32LE(20),
  }
}
