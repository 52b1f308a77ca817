import type { GroupLimits } from '../cgroups/limited-group.ts'
import { AppError } from '../errors.ts'

/** What one command may take; undefined: no limit of its own. */
export interface CommandLimits extends GroupLimits {
  /** Bytes of each output stream that clients get, half of them its beginning and half its end (`OutputCut`). */
  readonly outputMax?: number | undefined
}

interface Range {
  readonly header: string
  readonly least: number
  readonly most: number
  /** A whole number, or one with up to three decimals. */
  readonly form: RegExp
  readonly what: string
}

const WHOLE = /^\d{1,16}$/

/** Less cannot hold a program. */
const MIN_MEMORY = 1024 * 1024

/** The shortest time that the kernel allows in each period (1 ms of `CPU_PERIOD_US`). */
const MIN_CPUS = 0.01

/** PID_MAX_LIMIT of the kernel. */
const MAX_PIDS = 4 * 1024 * 1024

const MAX_CPUS = 8192

/** Less would hold little more than the line that says what is left out. */
const MIN_OUTPUT = 1024

/** The largest window of a command's output: more is kept of none. */
const MAX_OUTPUT = 4 * 1024 * 1024

const RANGES: Readonly<Record<keyof CommandLimits, Range>> = {
  memoryMax: {
    ...{ header: 'command-memory-max', form: WHOLE, what: 'a number of bytes' },
    ...{ least: MIN_MEMORY, most: Number.MAX_SAFE_INTEGER },
  },
  pidsMax: {
    ...{ header: 'command-pids-max', form: WHOLE, what: 'a number of processes' },
    ...{ least: 1, most: MAX_PIDS },
  },
  cpuMax: {
    ...{ header: 'command-cpu-max', form: /^\d{1,5}(\.\d{1,3})?$/, what: 'a number of CPUs' },
    ...{ least: MIN_CPUS, most: MAX_CPUS },
  },
  outputMax: {
    ...{ header: 'command-output-max', form: WHOLE, what: 'a number of bytes' },
    ...{ least: MIN_OUTPUT, most: MAX_OUTPUT },
  },
}

const NAMES: readonly (keyof CommandLimits)[] = ['memoryMax', 'pidsMax', 'cpuMax', 'outputMax']

/**
 * The limits that the headers `Command-Memory-Max`, `Command-Pids-Max`, `Command-Cpu-Max` and `Command-Output-Max` of a
 * start ask for. Throws AppError `invalid_argument` for one that is no number, or out of its range.
 */
export function limitsOfHeaders(header: (name: string) => string | undefined): CommandLimits {
  const limits: { -readonly [name in keyof CommandLimits]: number } = {}
  for (const name of NAMES) {
    const text = header(RANGES[name].header)?.trim()
    if (text === undefined) continue
    if (!RANGES[name].form.test(text)) throw outOfRange(RANGES[name])
    limits[name] = Number(text)
  }
  return checkedLimits(limits)
}

/** The same limits, within their ranges; for those that come in a message. Throws AppError `invalid_argument`. */
export function checkedLimits(limits: CommandLimits): CommandLimits {
  for (const name of NAMES) {
    const { [name]: value } = limits
    const { least, most, form } = RANGES[name]
    if (value === undefined) continue
    const whole = form !== WHOLE || Number.isInteger(value)
    if (!(value >= least && value <= most && whole)) throw outOfRange(RANGES[name])
  }
  return limits
}

/** Whether any of the limits takes a cgroup. */
export function needsGroup({ memoryMax, pidsMax, cpuMax }: GroupLimits): boolean {
  return memoryMax !== undefined || pidsMax !== undefined || cpuMax !== undefined
}

function outOfRange({ header, what, least, most }: Range): AppError {
  const name = header.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())
  return new AppError('invalid_argument', `${name} must be ${what} from ${least} to ${most}`)
}
