import { ipText } from '../lib/ip-text.ts'

/** A TCP socket that listens. */
export interface ListeningSocket {
  /** As text; one of the form ::ffff:a.b.c.d as a.b.c.d, which is what it takes connections for. */
  readonly address: string
  readonly port: number
  /** It takes no connections by IPv4 although it is bound to `::`; undefined: the source does not report it. */
  readonly onlyIpv6: boolean | undefined
  /** Effective uid of who made it. */
  readonly uid: number
  /** Decimal; "0": no process holds it. Distinguishes it from all others at the same time. */
  readonly inode: string
}

/** Bytes of one socket: family, onlyIpv6, port, uid, inode, address. */
const RECORD = 28

/** Reads what `listeningSockets` has packed. */
export function unpackListening(packed: Buffer): ListeningSocket[] {
  const sockets: ListeningSocket[] = []
  for (let at = 0; at + RECORD <= packed.length; at += RECORD) {
    const length = packed.readUInt8(at) === 6 ? 16 : 4
    sockets.push({
      address: ipText(packed.subarray(at + 12, at + 12 + length)),
      port: packed.readUInt16LE(at + 2),
      onlyIpv6: packed.readUInt8(at + 1) === 1,
      uid: packed.readUInt32LE(at + 4),
      inode: String(packed.readUInt32LE(at + 8)),
    })
  }
  return sockets
}
