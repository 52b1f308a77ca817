import type { OpenStreams } from '../calls/open-streams.ts'
import type { CommandCpu } from './command-cpu.ts'
import { type Kind, type NamedCommand, type Reason, Reasons } from './reasons.ts'
import type { Transfers } from './transfers.ts'

/** A command that runs. Times are on the clock of performance.now(); undefined: never. */
interface ObservedCommand extends NamedCommand {
  readonly lastOutput: number | undefined
  readonly lastInput: number | undefined
}

/** The parts that are looked at; none of them does anything for it. */
interface ObserverDeps {
  /** Those that run for a client or as a service. */
  readonly commands: () => Iterable<ObservedCommand>
  /** The last output and input of those that have ended. */
  readonly ended: { readonly lastOutput: number | undefined; readonly lastInput: number | undefined }
  readonly cpu: Pick<CommandCpu, 'lastBusy' | 'last'>
  readonly streams: OpenStreams
  /** Forwarded ports with the number of their connections. */
  readonly ports: { readonly connections: ReadonlyMap<number, number>; readonly lastConnection: number | undefined }
  readonly transfers: Transfers
}

/** Whether the sandbox is in use. Times are on the clock of performance.now(). */
export interface ActivityStatus {
  readonly busy: boolean
  /** When it became busy; while it is idle, the last sign. */
  readonly since: number
  readonly idleSeconds: number
  readonly reasons: readonly Reason[]
  readonly more: number
  readonly lastSigns: ReadonlyMap<Kind, number>
}

/** Decides whether the sandbox is busy or idle. */
export interface Observer {
  /** Looks at all parts; takes less than a millisecond for a thousand commands. */
  status(): ActivityStatus
  /** A call is over. @param method `package.Service/Method`. */
  called(method: string): void
}

/** Methods that only list or look at states: who watches a sandbox does not use it. */
const LOOKING = /\/(List|Get|Watch|Wait)$/

/** Packages whose calls and streams are use of the sandbox. */
const USE = /^(process|process\.v1|filesystem|terminals\.v1|jobs\.v1)\.[A-Z]/

const isUse = (method: string) => USE.test(method) && !LOOKING.test(method)

/** Observes nothing before the first call. */
export function createObserver(deps: ObserverDeps): Observer {
  const began = performance.now()
  const lastSigns = new Map<Kind, number>()
  let busySince: number | undefined
  let lastCall: number | undefined
  return {
    called: (method) => {
      if (isUse(method)) lastCall = performance.now()
    },
    status: () => {
      const reasons = new Reasons(lastSigns)
      addCommands(reasons, deps)
      addStreams(reasons, deps)
      addPorts(reasons, deps)
      addTransfers(reasons, deps)
      reasons.sign('call', lastCall)
      reasons.addUnnamed()
      const last = Math.max(began, ...lastSigns.values())
      const busy = reasons.list.length > 0
      busySince = busy ? (busySince ?? reasons.since) : undefined
      return {
        busy,
        since: busySince ?? last,
        idleSeconds: (reasons.now - last) / 1000,
        reasons: reasons.list,
        more: reasons.more,
        lastSigns: new Map(lastSigns),
      }
    },
  }
}

function addCommands(reasons: Reasons, { commands, ended, cpu }: ObserverDeps): void {
  reasons.sign('cpu', cpu.last)
  reasons.sign('output', ended.lastOutput)
  reasons.sign('input', ended.lastInput)
  for (const process of commands()) {
    const named = () => ({ process })
    reasons.sign('cpu', cpu.lastBusy(process.pid), named)
    reasons.sign('output', process.lastOutput, named)
    reasons.sign('input', process.lastInput, named)
  }
}

function addStreams(reasons: Reasons, { streams, commands }: ObserverDeps): void {
  reasons.sign('stream', streams.lastChange(isUse))
  const used = [...streams].filter(({ method }) => isUse(method))
  if (used.length === 0) return
  const byPid = new Map([...commands()].map((command) => [command.pid, command]))
  for (const stream of used) {
    const process = stream.pid === undefined ? undefined : byPid.get(stream.pid)
    const followed = process === undefined ? {} : { process }
    reasons.sign('stream', reasons.now, () => ({ stream, since: stream.since, ...followed }))
  }
}

function addPorts(reasons: Reasons, { ports }: ObserverDeps): void {
  reasons.sign('port', ports.lastConnection)
  for (const [port, count] of ports.connections) reasons.sign('port', reasons.now, () => ({ port, count }))
}

function addTransfers(reasons: Reasons, { transfers }: ObserverDeps): void {
  for (const kind of ['upload', 'download'] as const) {
    const { open: count, last } = transfers[kind]
    reasons.sign(kind, count > 0 ? reasons.now : last, () => ({ count }))
  }
}
