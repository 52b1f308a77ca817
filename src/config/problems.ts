import { isIP, SocketAddress } from 'node:net'
import { hostnameOf, originOf } from '../lib/web-origin.ts'
import type { Given } from './flags.ts'

/** A day: longer is a mistake, and must not overflow a timer. */
const MAX_SECONDS = 86_400

/** What is counted exactly. */
const MAX_BYTES = Number.MAX_SAFE_INTEGER

/** Failures are listed up to this number. */
const MAX_LIVE_FAILURES = 1_000

/** Flags that count something. */
type Count =
  | 'archive-max-bytes'
  | 'archive-max-entries'
  | 'archive-max-ratio'
  | 'body-stall'
  | 'keep-exits'
  | 'reader-stall'
  | 'ready-timeout'
  | 'ready-attempt-timeout'
  | 'live-interval'
  | 'live-timeout'
  | 'live-failures'
  | 'upload-max-bytes'

/** What is wrong with the values of the flags, each on its own; empty if nothing is. */
export function problemsOf(given: Given): string[] {
  const within = (name: Count, [least, most]: readonly [number, number]) =>
    given[name] >= least && given[name] <= most ? '' : `${name} must be ${least} to ${most}, got ${given[name]}`
  return [
    given.port >= 0 && given.port <= 65535 ? '' : `port must be 0 to 65535, got ${given.port}`,
    given.address === 'localhost' || isIP(given.address) !== 0
      ? ''
      : `address must be an IP address or localhost, got ${given.address}`,
    forwardProblem(given['forward-address']),
    given['output-window'] >= 0 ? '' : `output-window must not be negative, got ${given['output-window']}`,
    ...(['archive-max-bytes', 'archive-max-entries', 'archive-max-ratio', 'upload-max-bytes'] as const).map((name) =>
      within(name, [1, MAX_BYTES]),
    ),
    within('body-stall', [1, MAX_SECONDS]),
    within('keep-exits', [0, MAX_SECONDS]),
    within('reader-stall', [1, MAX_SECONDS]),
    within('ready-timeout', [1, MAX_SECONDS]),
    within('ready-attempt-timeout', [1, MAX_SECONDS]),
    within('live-interval', [0, MAX_SECONDS]),
    within('live-timeout', [1, MAX_SECONDS]),
    within('live-failures', [1, MAX_LIVE_FAILURES]),
    ...given['allow-origin'].map((text) =>
      originOf(text) === undefined ? `allow-origin must be an origin such as https://app.example, got ${text}` : '',
    ),
    ...given['allow-host'].map((text) =>
      /^(\*\.)?[^*:]+$/.test(text) && hostnameOf(text.replace('*.', '')) !== undefined
        ? ''
        : `allow-host must be a host name, or *.NAME for all below it, without a port, got ${text}`,
    ),
  ].filter((text) => text !== '')
}

/** Forwards listen beside the listeners that they stand for, so their address must be another one. */
function forwardProblem(given: string): string {
  const family = isIP(given)
  if (given === '' || given === 'off') return ''
  if (family === 0) return `forward-address must be an IP address or off, got ${given}`
  const address = canonical(given)
  const unfit = ['0.0.0.0', '127.0.0.1', '::', '::1'].includes(address) || address.startsWith('::ffff:')
  return unfit ? `forward-address must be the address of an interface other than loopback, got ${given}` : ''
}

/** An IP address as the system writes it. */
export function canonical(address: string): string {
  return new SocketAddress({ address, family: isIP(address) === 6 ? 'ipv6' : 'ipv4' }).address
}
