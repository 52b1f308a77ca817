import { type ListeningSocket, unpackListening } from '../native/listening.ts'
import { procNetReader } from './proc-net.ts'

/**
 * Resolves with the TCP sockets that listen now. Rejects when they cannot be had, which does not mean that there are
 * none.
 */
export type ReadSockets = () => Promise<ListeningSocket[]>

/** Sockets looked at; of more some are hidden. 4,096 take some 2 MB and 5 ms for each scan. */
export const MAX_SOCKETS = 4_096

/** Where sockets are read from. */
interface SocketSources {
  /** `listeningSockets` of the addon. */
  readonly diag: (limit: number) => Promise<Buffer>
  /** Directory of tcp and tcp6. */
  readonly procNet: string
}

/**
 * Makes the reader: sock_diag(7), or the files in /proc/net where the kernel has no such thing (gVisor) or a sandbox
 * around the daemon forbids it. The files take a hundred times as long on a large machine.
 */
export function socketReader({ diag, procNet }: SocketSources): ReadSockets {
  const readFiles = procNetReader(procNet, MAX_SOCKETS)
  return async () => {
    const packed = await diag(MAX_SOCKETS).catch(() => undefined)
    return packed === undefined ? readFiles() : unpackListening(packed)
  }
}
