import { isObject, kindOf } from '../lib/flag-file.ts'
import { RESTART_MODES } from './flags.ts'
import { START, type SupervisorConfig } from './supervisor.ts'

/** More is a mistake; each has a session, pipes, and a place in every list. */
const MAX_SERVICES = 64

/** A name becomes a tag, the name of a file and the name of a cgroup. */
const NAME = /^[a-z][a-z0-9_-]{0,62}$/

/** Tags of the start command's own ready and live commands. */
const TAKEN = ['ready', 'live']

const TEXTS = ['name', 'command', 'user', 'workdir', 'ready', 'live', 'restart'] as const

/** A service as the file has it. */
type Entry = { readonly [K in (typeof TEXTS)[number]]?: string } & {
  readonly name: string
  readonly command: string
  readonly env?: Readonly<Record<string, string>>
  readonly after?: readonly string[]
}

/**
 * The services; those of a file in an order in which each comes after those that it waits for, or everything that is
 * wrong with them.
 */
export type Services =
  | { readonly ok: true; readonly services: readonly SupervisorConfig[] }
  | { readonly ok: false; readonly problem: string }

/**
 * The services of a configuration: `start`, which is always there, and those that the file lists.
 * @param given the value of the file's key `services`.
 * @param start what the flags say of the start command; what a service does not say it has from there.
 */
export function readServices(given: unknown, start: SupervisorConfig): Services {
  const fail = (problems: readonly string[]): Services => ({ ok: false, problem: problems.join('; ') })
  if (!Array.isArray(given)) return fail([`key "services" must be a list, got ${kindOf(given)}`])
  if (given.length > MAX_SERVICES) return fail([`services: at most ${MAX_SERVICES}, got ${given.length}`])
  const problems = given.flatMap((entry, index) => entryProblems(entry, index))
  if (problems.length > 0) return fail(problems)
  // Without a problem each has the form of an entry.
  const entries = given as Entry[]
  const wrong = togetherProblems(entries, start)
  if (wrong.length > 0) return fail(wrong)
  const listed = entries.map((entry) => toService(entry, start))
  return { ok: true, services: ordered(listed.some(({ name }) => name === START) ? listed : [start, ...listed]) }
}

/** The JSON Schema of the file's key `services`. */
export function servicesSchema(): object {
  const text = (description: string) => ({ type: 'string', description })
  return {
    description: 'commands that are kept running, each with a name of its own',
    type: 'array',
    maxItems: MAX_SERVICES,
    items: {
      type: 'object',
      properties: {
        name: { ...text('tag of the command in List'), pattern: NAME.source },
        command: { ...text('script for a login shell'), minLength: 1 },
        user: text('default: start-user'),
        workdir: text('default: start-workdir'),
        env: { type: 'object', additionalProperties: { type: 'string' }, description: 'added to start-env' },
        ready: text('command that exits with 0 once the service is ready (default: ready when started)'),
        live: text('command that is repeated once it is ready (default: the ready command)'),
        restart: { ...text('default: as the flag restart'), enum: RESTART_MODES },
        after: { type: 'array', items: { type: 'string' }, description: 'services that must have been ready before' },
      },
      required: ['name', 'command'],
      additionalProperties: false,
    },
  }
}

function entryProblems(entry: unknown, index: number): string[] {
  if (!isObject(entry)) return [`services[${index}] must be an object, got ${kindOf(entry)}`]
  const { name, command, env, after, restart } = entry
  const where = `services[${index}]`
  const unless = (right: boolean, what: string) => (right ? [] : [`${where}${what}`])
  const known: readonly string[] = [...TEXTS, 'env', 'after']
  return [
    ...Object.keys(entry).flatMap((key) => unless(known.includes(key), `: unknown key "${key}"`)),
    ...TEXTS.flatMap((key) =>
      unless(
        entry[key] === undefined || typeof entry[key] === 'string',
        `.${key} must be a string, got ${kindOf(entry[key])}`,
      ),
    ),
    ...unless(
      typeof name === 'string' && NAME.test(name) && !TAKEN.includes(name),
      `.name must be 1 to 63 of a-z, 0-9, _ and -, begin with a letter, and not be ${TAKEN.join(' or ')}`,
    ),
    ...unless(typeof command === 'string' && command !== '', '.command must be given'),
    ...unless(
      typeof restart !== 'string' || RESTART_MODES.some((mode) => mode === restart),
      `.restart must be one of ${RESTART_MODES.join(', ')}, got "${restart}"`,
    ),
    ...unless(env === undefined || isVariables(env), '.env must be an object of strings'),
    ...unless(after === undefined || isTexts(after), '.after must be a list of names'),
  ]
}

/** Names that no program can be given are left out when the command is started. */
function isVariables(env: unknown): boolean {
  return isObject(env) && Object.values(env).every((text) => typeof text === 'string')
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.length <= MAX_SERVICES && value.every((item) => typeof item === 'string')
}

/** What is wrong with entries that are right one by one. */
function togetherProblems(entries: readonly Entry[], start: SupervisorConfig): string[] {
  const names = entries.map(({ name }) => name)
  const given = start.startCommand ?? start.readyCommand ?? start.live.command
  const all = new Set([START, ...names])
  const problems = [
    ...new Set(
      names.filter((name, index) => names.indexOf(name) !== index).map((name) => `services: "${name}" is there twice`),
    ),
    ...(given !== undefined && names.includes(START)
      ? ['services: "start" is the command that start-cmd, ready-cmd or live-cmd sets already']
      : []),
    ...entries.flatMap(({ name, after = [] }) =>
      after
        .filter((other) => !all.has(other))
        .map((other) => `services: "${name}" is after "${other}", which is no service`),
    ),
  ]
  if (problems.length > 0) return problems
  const cycle = cycleOf(new Map(entries.map(({ name, after = [] }) => [name, after])))
  return cycle === undefined ? [] : [`services wait for each other: ${cycle.join(' after ')}`]
}

/** Names of which each waits for the next, the first of them again at the end; undefined if there are none. */
function cycleOf(after: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>()
  const visit = (name: string, path: readonly string[]): string[] | undefined => {
    const at = path.indexOf(name)
    if (at >= 0) return [...path.slice(at), name]
    if (done.has(name)) return undefined
    for (const other of after.get(name) ?? []) {
      const found = visit(other, [...path, name])
      if (found !== undefined) return found
    }
    done.add(name)
    return undefined
  }
  for (const name of after.keys()) {
    const found = visit(name, [])
    if (found !== undefined) return found
  }
  return undefined
}

/** As they are, but for those that have to wait. Without a cycle. */
function ordered(services: readonly SupervisorConfig[]): SupervisorConfig[] {
  const sorted: SupervisorConfig[] = []
  const add = (service: SupervisorConfig) => {
    if (sorted.includes(service)) return
    for (const other of services) if (service.after.includes(other.name)) add(other)
    sorted.push(service)
  }
  for (const service of services) add(service)
  return sorted
}

function toService(entry: Entry, start: SupervisorConfig): SupervisorConfig {
  const { name, command, user, workdir, env = {}, ready, live, restart, after = [] } = entry
  const identified = Boolean(user) || Object.keys(env).length > 0
  return {
    ...start,
    name,
    after,
    startCommand: command,
    readyCommand: ready || undefined,
    user: user || start.user,
    workdir: workdir || start.workdir,
    env: { ...start.env, ...env },
    restart: RESTART_MODES.find((mode) => mode === restart) ?? start.restart,
    live: { ...start.live, command: live || undefined },
    afterInit: start.afterInit && !identified,
  }
}
