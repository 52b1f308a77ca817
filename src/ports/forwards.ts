import { isIPv6, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { ForwardConfig } from '../config.ts'
import { errnoOf } from '../errors.ts'
import { errnoText } from '../lib/errno-text.ts'
import type { Log } from '../log.ts'
import { descriptorShare } from '../native/descriptor-share.ts'
import type { ListeningSocket } from '../native/listening.ts'
import { type Connections, createConnections } from './connections.ts'
import { type Forward, openForward } from './forward.ts'

/** How it stands with the forward of a port: connections to `at` arrive, or why there is none. */
export type ForwardState = { readonly at: string } | { readonly why: string }

/** Ports forwarded at a time, if there are descriptors: each takes one. */
const MAX_FORWARDS = 1_024

/** How many ports are forwarded at most. */
export function maxForwards(): number {
  return descriptorShare(1 / 16, MAX_FORWARDS)
}

/**
 * The forwards of loopback ports to the forwarding address: one for each port, whatever listens on it (contract G1 to
 * G5). What failed is tried again at each `sync`, and logged when it fails for another reason than before.
 */
export class Forwards {
  readonly #where: ForwardConfig | undefined
  readonly #log: Log
  readonly #connections: Connections
  readonly #open = new Map<number, Forward>()
  readonly #failures = new Map<number, string>()
  #probed = false
  #addressMissing = false
  #closed = false

  /** @param where undefined: nothing is forwarded. */
  constructor(where: ForwardConfig | undefined, log: Log) {
    this.#where = where
    this.#log = log
    this.#connections = createConnections(log)
  }

  /**
   * Brings the forwards in line with the loopback sockets there are; the first of a port is the one that connections go
   * to. Those of a port without socket take no more connections; the ones that are open end naturally. Never rejects.
   * One call at a time.
   */
  async sync(sockets: readonly ListeningSocket[]): Promise<void> {
    if (this.#where === undefined || this.#closed) return
    if (this.#where.explicit && !this.#probed) await this.#probe(this.#where)
    const targets = new Map(sockets.toReversed().map(({ port, address }) => [port, address]))
    for (const port of [...this.#open.keys(), ...this.#failures.keys()]) if (!targets.has(port)) this.#drop(port)
    let missing = false
    for (const [port, target] of targets) {
      if (this.#closed) return
      const forward = this.#open.get(port)
      if (forward?.listening) forward.target = target
      else if (missing) this.#failures.set(port, absence(this.#where))
      else missing = (await this.#add(port, target, this.#where)) === 'EADDRNOTAVAIL'
    }
  }

  /** How it stands with a port, as of the last `sync`. */
  stateOf(port: number): ForwardState {
    if (this.#where === undefined) return { why: 'forwarding is off' }
    if (this.#open.get(port)?.listening) return { at: hostPort(this.#where.address, port) }
    return { why: this.#failures.get(port) ?? 'the daemon is stopping' }
  }

  /** How it stands with forwarding itself: whether an interface has the address now. */
  get state(): ForwardState {
    if (this.#where === undefined) return { why: 'forwarding is off' }
    const { address } = this.#where
    return hasAddress(address) ? { at: address } : { why: absence(this.#where) }
  }

  /** The socket is the listening one of a forward. */
  isOwn({ address, port }: ListeningSocket): boolean {
    return address === this.#where?.address && this.#open.has(port)
  }

  /** The sockets of the clients that are connected now. */
  get clients(): Iterable<Socket> {
    return this.#connections.clients
  }

  /** When a connection began or ended last, on the clock of performance.now(); undefined: never. */
  get lastConnection(): number | undefined {
    return this.#connections.last
  }

  /** Ends all of them and resets their connections. Idempotent. */
  close(): void {
    this.#closed = true
    for (const port of this.#open.keys()) this.#drop(port)
    this.#connections.close()
  }

  /** Logs at once when the configured address is not there, not only when a port needs it. */
  async #probe({ address }: ForwardConfig): Promise<void> {
    this.#probed = true
    const free = { address, port: 0, connections: this.#connections }
    await openForward(free, address).then(
      (forward) => forward.close(),
      (error: unknown) => this.#tellAbsence(errnoOf(error)),
    )
  }

  #drop(port: number): void {
    this.#failures.delete(port)
    this.#open.get(port)?.close()
    if (this.#open.delete(port)) this.#log.info({ port }, 'port no longer forwarded')
  }

  /** Returns the errno name of a failure. */
  async #add(port: number, target: string, where: ForwardConfig): Promise<string | undefined> {
    const most = maxForwards()
    if (this.#open.size >= most) {
      this.#failed(port, `${most} ports are forwarded already`)
      return undefined
    }
    try {
      const forward = await openForward({ address: where.address, port, connections: this.#connections }, target)
      this.#failures.delete(port)
      this.#addressMissing = false
      this.#open.set(port, forward)
      this.#log.info({ port, target }, 'port forwarded')
      if (this.#closed) this.#drop(port)
      return undefined
    } catch (error) {
      const code = errnoOf(error)
      this.#tellAbsence(code)
      if (code === 'EADDRNOTAVAIL') this.#failures.set(port, absence(where))
      else this.#failed(port, reason(code, hostPort(where.address, port)))
      return code
    }
  }

  #tellAbsence(code: string | undefined): void {
    if (code !== 'EADDRNOTAVAIL' || this.#addressMissing || !this.#where?.explicit) return
    this.#addressMissing = true
    const { address } = this.#where
    this.#log.warn({ address }, 'no interface has the forwarding address: no port is forwarded until one has')
  }

  #failed(port: number, why: string): void {
    if (this.#failures.get(port) === why) return
    this.#failures.set(port, why)
    this.#log.warn({ port, why }, 'port not forwarded')
  }
}

/** Every address of 127.0.0.0/8 is the machine's own (RFC 1122 3.2.1.3). */
function hasAddress(wanted: string): boolean {
  if (wanted.startsWith('127.')) return true
  return Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === wanted))
}

function absence({ address }: ForwardConfig): string {
  return `no interface has ${address}`
}

function reason(code: string | undefined, at: string): string {
  return code === 'EADDRINUSE'
    ? `${at} is in use by another listener`
    : `cannot listen on ${at}: ${errnoText(code ?? '')}`
}

function hostPort(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}
