import type { ListeningSocket } from '../native/listening.ts'
import type { ForwardState } from './forwards.ts'

/** Whether and how a listener can be reached from outside. */
export interface Reach {
  /** The forwarding address with the port; empty when it is not forwarded. */
  readonly forwardAddress: string
  /** The answer to "why is my port not reachable". */
  readonly state: string
}

/** The addresses whose ports are forwarded; 127.0.0.2 is not one of them (contract G1). */
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1']

/** Whether a socket is one of those that are forwarded, if possible. */
export function isLoopback({ address }: ListeningSocket): boolean {
  return LOOPBACK.includes(address)
}

/**
 * Returns how a listener can be reached. `forward`: how it stands with its port; it counts for loopback addresses only.
 */
export function reachOf(socket: ListeningSocket, forward: ForwardState): Reach {
  const { address, onlyIpv6 } = socket
  if (isLoopback(socket)) {
    if ('why' in forward) return unforwarded(`not forwarded: ${forward.why}`)
    return { forwardAddress: forward.at, state: `bound to ${address}, forwarded to ${forward.at}` }
  }
  if (address.startsWith('127.'))
    return unforwarded(`not forwarded: bound to ${address}, only ${LOOPBACK.join(' and ')} are forwarded`)
  if (address === '::' && onlyIpv6) return unforwarded('reachable on all IPv6 addresses')
  if (address === '0.0.0.0' || address === '::') return unforwarded('reachable on all addresses')
  return unforwarded(`reachable on ${address}`)
}

function unforwarded(state: string): Reach {
  return { forwardAddress: '', state }
}
