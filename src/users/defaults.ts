import { isVariable } from '../lib/environment.ts'

/** What `POST /init` and the flags set for every later call. One object for the whole daemon, made in `build-features.ts`. */
export interface Defaults {
  /** The user of calls that name none; empty: there is none. */
  user: string
  /** The directory of empty paths and of commands without cwd; undefined: the user's home. */
  workdir: string | undefined
  readonly env: EnvVars
}

/** What the flags say about the defaults. */
interface DefaultsOptions {
  readonly user: string
  readonly workdir: string | undefined
  readonly notFirecracker: boolean
  /** `/init` has given that many variables that no program can be given. */
  readonly onUnusable?: (count: number) => void
}

/**
 * The defaults at start-up: no variable but E2B_SANDBOX, whose value is that of the file of this name (contract A11,
 * A14).
 */
export function createDefaults({ user, workdir, notFirecracker, onUnusable }: DefaultsOptions): Defaults {
  const env = new EnvVars(onUnusable)
  env.setInternal('E2B_SANDBOX', String(!notFirecracker))
  return { user, workdir, env }
}

/**
 * The variables that every command gets (contract A14, A15, F13): internal ones, set by the daemon and never changed
 * from outside, and the user's, replaced as a whole by `/init`.
 */
export class EnvVars {
  readonly #internal = new Map<string, string>()
  #user = new Map<string, string>()
  /** Made when they are asked for: to sort thousands takes longer than to start a command. */
  #sorted: Map<string, string> | undefined
  #lines: Map<string, string> | undefined
  readonly #onUnusable: (count: number) => void

  /**
   * @param onUnusable called with the number of variables from outside that no program can be given; they are left out.
   */
  constructor(onUnusable: (count: number) => void = () => {}) {
    this.#onUnusable = onUnusable
  }

  /** Sets an internal variable; a user variable of that name is gone. */
  setInternal(name: string, value: string): void {
    this.#internal.set(name, value)
    this.#user.delete(name)
    this.#forget()
  }

  /** Replaces all user variables; internal names among them are ignored. */
  replaceUser(variables: Iterable<[string, string]>): void {
    const given = [...variables]
    const usable = given.filter(([name, value]) => isVariable(name, value))
    this.#user = new Map(usable.filter(([name]) => !this.#internal.has(name)))
    this.#forget()
    if (usable.length < given.length) this.#onUnusable(given.length - usable.length)
  }

  /** What `replaceUser` was last called with, as far as it is in effect. */
  fromOutside(): [string, string][] {
    return [...this.#user]
  }

  /** All variables, sorted by name: the same map until one changes. */
  all(): ReadonlyMap<string, string> {
    this.#sorted ??= new Map([...this.#internal, ...this.#user].sort(([a], [b]) => (a < b ? -1 : 1)))
    return this.#sorted
  }

  /** Those that a program can be given, as `NAME=value` by name, in the order of `all`. */
  lines(): ReadonlyMap<string, string> {
    this.#lines ??= new Map(
      [...this.all()].flatMap(([name, value]) => (isVariable(name, value) ? [[name, `${name}=${value}`]] : [])),
    )
    return this.#lines
  }

  #forget(): void {
    this.#sorted = undefined
    this.#lines = undefined
  }
}
