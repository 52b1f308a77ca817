import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import type { Daemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import type { Outcome, Place, Scenario } from './scenario.ts'
import type { Fault, FaultTable } from './table.ts'

/** Each call of the daemon fails once with each of these, and with those of `LASTING` also for good. */
const ERRNOS = [
  ...['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'EINTR', 'EAGAIN', 'EPERM', 'EROFS', 'ESTALE'],
  // Of filesystems that cannot do something, as have files without a name.
  'EOPNOTSUPP',
]
const LASTING = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENOMEM', 'EROFS', 'EOPNOTSUPP'])

/** Of calls that are made many times: which of them fail. */
const SKIPS = 4
/** Far above what any of the scenarios takes. */
const HANG_MS = 5_000
/** What a call leaves behind is gone soon after its answer. */
const SETTLE_MS = 3_000

/**
 * What fails where the machine, not the daemon, is short of something: clients can tell by the code. What it refuses is
 * `internal` where the contract says so (B43, C13).
 */
const FITTING: Readonly<Record<string, readonly string[]>> = {
  ENOSPC: ['resource_exhausted', '507'],
  EDQUOT: ['resource_exhausted', '507'],
  EMFILE: ['resource_exhausted', '503', '507'],
  ENFILE: ['resource_exhausted', '503', '507'],
  ENOMEM: ['resource_exhausted', '503', '507'],
  EPERM: ['permission_denied', '403', 'internal', '500'],
  EROFS: ['permission_denied', '403', 'internal', '500'],
  EINTR: ['unavailable', 'aborted', '503', '409'],
  EAGAIN: ['unavailable', 'aborted', 'resource_exhausted', '503', '409'],
  ESTALE: ['unavailable', 'aborted', 'not_found', '503', '409', '404'],
  EIO: ['internal', '500'],
  EOPNOTSUPP: ['internal', '500'],
}

/** What became of one fault. */
export interface Finding {
  readonly scenario: string
  /** What the calls were about. */
  readonly match: string
  readonly fault: Fault
  readonly outcome: Outcome
  /** Empty: as it should be. */
  readonly problems: readonly string[]
}

export interface Rig {
  readonly daemon: Daemon
  readonly table: FaultTable
  readonly root: string
  /** Which of the faults are tried. */
  readonly wanted: (fault: Fault) => boolean
}

/** Runs a scenario with every fault that can happen in it. */
export async function runScenario(rig: Rig, scenario: Scenario): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const match of scenario.matches ?? ['DIR']) {
    // Twice without faults: what is made once and kept is no leak.
    await attempt(rig, scenario, match, undefined)
    rig.table.count(textOf(rig, match))
    const clean = await attempt(rig, scenario, match, undefined)
    const counted = rig.table.counted()
    if (clean.problems.length > 0 || clean.outcome.code !== 'ok')
      throw new Error(`${scenario.name} fails without faults: ${JSON.stringify(clean)}`)
    let before = held(rig.daemon)
    for (const fault of faultsOf(counted, scenario).filter(rig.wanted)) {
      const finding = await attempt(rig, scenario, match, fault)
      if (finding.failed === 0) continue
      const leaked = await leaks(rig, scenario, { match, fault, before })
      if (leaked.length > 0) before = held(rig.daemon)
      findings.push({ scenario: scenario.name, match, fault, ...finding, problems: [...finding.problems, ...leaked] })
    }
  }
  return findings
}

/** What a fault leaves behind each time: what is opened once and kept is no leak. */
async function leaks(
  rig: Rig,
  scenario: Scenario,
  { match, fault, before }: { readonly match: string; readonly fault: Fault; readonly before: Held },
): Promise<string[]> {
  if ((await left(rig.daemon, before)).length === 0) return []
  const once = held(rig.daemon)
  await attempt(rig, scenario, match, fault)
  return left(rig.daemon, once)
}

function textOf({ root }: Rig, match: string): string {
  return match === 'DIR' ? join(root, 'run') : match
}

/** What never fails so: getrandom(2) of up to 256 bytes, and to wait for a child, but that it is interrupted. */
function canFail(call: string, errno: string): boolean {
  if (/getrandom/.test(call)) return false
  return !(/^waitid$|^waitpid$|syscall waitid/.test(call) && errno !== 'EINTR')
}

function faultsOf(counted: ReadonlyMap<string, number>, { calls, possible = () => true }: Scenario): Fault[] {
  return [...counted]
    .filter(([call]) => calls === undefined || calls.includes(call))
    .flatMap(([call, count]) => Array.from({ length: Math.min(count, SKIPS) }, (_, skip) => ({ call, skip })))
    .flatMap((at) => ERRNOS.filter((errno) => canFail(at.call, errno)).map((errno) => ({ ...at, errno })))
    .flatMap((fault) => [false, ...(LASTING.has(fault.errno) ? [true] : [])].map((lasting) => ({ ...fault, lasting })))
    .filter(possible)
}

async function attempt(rig: Rig, scenario: Scenario, match: string, fault: Fault | undefined) {
  const { daemon, table, root } = rig
  const dir = join(root, 'run')
  const ended = new AbortController()
  const place: Place = { url: daemon.url, dir, signal: ended.signal, fault }
  mkdirSync(dir)
  await chmod(dir, 0o777)
  const { pid } = daemon
  const logged = daemon.stdout().length
  await scenario.prepare?.(place)
  if (fault !== undefined) table.arm(textOf(rig, match), fault)
  const timer = setTimeout(() => ended.abort(new Error('hang')), HANG_MS)
  const outcome = await scenario.run(place).catch((error: unknown) => ({
    code: ended.signal.aborted ? 'hang' : 'broken',
    text: String(error),
  }))
  clearTimeout(timer)
  const failed = fault === undefined ? 0 : table.disarm()
  const problems = [
    ...(fault !== undefined && failed > 0 ? judged(scenario, fault, outcome) : []),
    ...((await scenario.check?.(place, outcome)) ?? []),
    ...(daemon.pid === pid ? [] : ['the daemon ended']),
    ...(await healthy(daemon)),
    ...surprises(daemon.stdout().slice(logged)),
  ]
  await scenario.tidy?.(place)
  rmSync(dir, { recursive: true, force: true })
  return { failed, outcome: { code: outcome.code, text: outcome.text }, problems }
}

function judged({ contract = [] }: Pick<Scenario, 'contract'>, { errno }: Fault, { code, text }: Outcome): string[] {
  if (code === 'ok' || contract.includes(code)) return []
  if (['hang', 'broken', 'false success'].includes(code)) return [`${code}: ${text}`]
  const fitting = FITTING[errno] ?? []
  if (!fitting.includes(code) && ['internal', 'unknown', '500'].includes(code))
    return [`${code} is no fitting code: ${text}`]
  return /^internal error$|"message":"internal error"/.test(text) || text === '' ? ['the error says nothing'] : []
}

async function healthy({ url }: Daemon): Promise<string[]> {
  const signal = AbortSignal.timeout(HANG_MS)
  do {
    // Some may be closed: libuv, when it could not accept, goes on to close what it accepts until nothing waits.
    const answer = await sendWhole(`${url}/health`, { signal }).catch(String)
    if (typeof answer !== 'string' && answer.status === 204) return []
  } while (!signal.aborted)
  return ['not healthy']
}

function surprises(log: string): string[] {
  return [...log.matchAll(/.*(?:failed unexpectedly|unexpected failure|unexpected end).*/g)].map(([line]) =>
    line.slice(0, 600),
  )
}

type Held = ReadonlyMap<string, number>

/** What the daemon has open, by kind, its threads and its children. */
function held({ pid }: Daemon): Held {
  const counts = new Map<string, number>()
  const add = (kind: string) => counts.set(kind, (counts.get(kind) ?? 0) + 1)
  for (const name of list(`/proc/${pid}/fd`)) add(`descriptor of ${kindOf(`/proc/${pid}/fd/${name}`)}`)
  for (const child of childrenOf(pid)) add(child)
  return counts
}

function childrenOf(pid: number): string[] {
  return list(`/proc/${pid}/task`).flatMap((task) =>
    read(`/proc/${pid}/task/${task}/children`)
      .split(' ')
      .filter((child) => child !== '')
      .map((child) => `child ${read(`/proc/${child}/comm`).trim()}`),
  )
}

function kindOf(link: string): string {
  try {
    return readlinkSync(link).replace(/\[?\d+\]?/g, 'N')
  } catch {
    return 'nothing'
  }
}

async function left(daemon: Daemon, before: Held): Promise<string[]> {
  const until = performance.now() + SETTLE_MS
  for (;;) {
    const more = [...held(daemon)].filter(([kind, count]) => count > (before.get(kind) ?? 0))
    if (more.length === 0) return []
    if (performance.now() > until)
      return more.map(([kind, count]) => `leaked: ${count - (before.get(kind) ?? 0)} ${kind}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
