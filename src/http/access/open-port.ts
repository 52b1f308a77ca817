import type { AccessToken } from '../../init/access-token.ts'
import type { Log } from '../../log.ts'
import { isLoopback } from './trusted-names.ts'

/** What decides who reaches the port. */
interface OpenPort {
  /** As `Endpoint.address`. */
  readonly address: string
  readonly notFirecracker: boolean
  readonly token: Pick<AccessToken, 'isSet'>
}

/**
 * Warns when other machines can command this one. A microVM has a network of its own, with the platform's proxy in
 * front.
 */
export function warnOfOpenPort({ address, notFirecracker, token }: OpenPort, log: Log): void {
  if (!notFirecracker || token.isSet || isLoopback(address)) return
  log.warn(
    { address },
    'NO ACCESS TOKEN: every machine that reaches this port may run commands here; set one (-access-token-file), or listen on localhost',
  )
}
