const LOOPBACK_TOO: ReadonlySet<string> = new Set(['::', '0.0.0.0', 'localhost', ''])

/**
 * Host at which this machine reaches what listens at an address (`-address`): 127.0.0.1 where it is answered as well.
 * No name is looked up, as a machine may not know even `localhost`.
 */
export function ownHost(address: string): string {
  return LOOPBACK_TOO.has(address) ? '127.0.0.1' : address
}
