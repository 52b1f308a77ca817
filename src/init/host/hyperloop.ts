import { isIPv6 } from 'node:net'
import { errnoOf } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { EnvVars } from '../../users/defaults.ts'
import { canonicalAddress, type HostsFile } from './hosts-file.ts'

/** The address of the platform's events service, as the sandbox sees it. */
export interface Hyperloop {
  /**
   * Maps `events.e2b.local` to the address in the hosts file, then sets the internal variable E2B_EVENTS_ADDRESS
   * (contract F16). Calls take effect in their order. What goes wrong is logged: never rejects.
   */
  set(ip: string): Promise<void>
}

const NAME = 'events.e2b.local'

/** Nothing is changed before the first call. */
export function createHyperloop({
  hosts,
  env,
  log,
}: {
  readonly hosts: HostsFile
  readonly env: EnvVars
  readonly log: Log
}): Hyperloop {
  return {
    set: async (ip) => {
      const address = canonicalAddress(ip)
      if (address === undefined) return log.error({ length: ip.length }, 'the hyperloop address is not an IP address')
      try {
        const written = await hosts.map(NAME, address)
        env.setInternal('E2B_EVENTS_ADDRESS', `http://${isIPv6(address) ? `[${address}]` : address}`)
        log.debug({ written }, 'the events service has its address')
      } catch (error) {
        log.error({ errno: errnoOf(error) }, 'the hosts file could not be written')
      }
    },
  }
}
