import type { Given, LEFTOVER_MODES, RESTART_MODES } from './flags.ts'

/** The name of the service of `-start-cmd`, which calls mean that name none. */
export const START = 'start'

/** A command that is kept running, and what checks that it is ready; all are scripts for a login shell. */
export interface SupervisorConfig {
  /** `start` is the one that the flags give. */
  readonly name: string
  /** Names of services that must have been ready before this one starts. */
  readonly after: readonly string[]
  readonly startCommand: string | undefined
  readonly readyCommand: string | undefined
  /** Whom they run as, where and with which variables; undefined: what `/init` or the defaults say. */
  readonly user: string | undefined
  readonly workdir: string | undefined
  readonly env: Readonly<Record<string, string>>
  /** Whether the start command is started again when it ends: never, after a failure, always. */
  readonly restart: RestartMode
  /** Milliseconds that the ready command has to succeed in, from each start of the start command. */
  readonly readyTimeout: number
  /** Milliseconds for one attempt of it. */
  readonly readyAttemptTimeout: number
  readonly live: LiveConfig
  /** What becomes of a start command that an earlier daemon left running. */
  readonly leftover: LeftoverMode
  /** A platform is to send user and variables with its first `/init`: nothing starts before that. */
  readonly afterInit: boolean
}

/** What is repeated after readiness. */
interface LiveConfig {
  /** Undefined: the ready command, if one is given. */
  readonly command: string | undefined
  /** Milliseconds between two runs; 0: none. */
  readonly interval: number
  /** Milliseconds for one. A ready command that took long to succeed has three times as long. */
  readonly timeout: number
  /** Failures in a row that count as one of the start command. */
  readonly failures: number
}

/** What `leftover` can be. */
export type LeftoverMode = (typeof LEFTOVER_MODES)[number]

/** What `restart` can be. */
export type RestartMode = (typeof RESTART_MODES)[number]

/** What the flags say of the start command. */
export function toSupervisorConfig(given: Given): SupervisorConfig {
  const env = given['start-env']
  const identified = given['start-user'] !== '' || given['default-user'] !== '' || Object.keys(env).length > 0
  return {
    name: START,
    after: [],
    startCommand: given['start-cmd'] || undefined,
    readyCommand: given['ready-cmd'] || undefined,
    user: given['start-user'] || undefined,
    workdir: given['start-workdir'] || undefined,
    env,
    restart: given.restart,
    leftover: given.leftover,
    readyTimeout: given['ready-timeout'] * 1000,
    readyAttemptTimeout: given['ready-attempt-timeout'] * 1000,
    live: {
      command: given['live-cmd'] || undefined,
      interval: given['live-interval'] * 1000,
      timeout: given['live-timeout'] * 1000,
      failures: given['live-failures'],
    },
    afterInit: !given.isnotfc && !identified,
  }
}
