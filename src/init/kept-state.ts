import { parseJsonAs } from '../lib/parse-json.ts'
import type { Defaults } from '../users/defaults.ts'
import { isReadable, STATE_VERSION } from '../version.ts'
import type { AccessToken } from './access-token.ts'

/** What of `POST /init` is known beside token and defaults. */
export interface InitProgress {
  /** A call has succeeded. */
  readonly initialized: boolean
  /** The newest timestamp that was applied, in nanoseconds (contract F11). */
  readonly newest: bigint
  /** A request has named the default user. */
  readonly userNamed: boolean
}

/** Progress of a daemon that had no `/init`. */
export const NO_PROGRESS: InitProgress = { initialized: false, newest: 0n, userNamed: false }

/**
 * The state of a sandbox that the next daemon goes on with: JSON with the token, readable by the daemon's user only.
 */
interface StateText {
  /** What is to be kept at the moment. @param more members beside it, which not every reader knows. */
  text(more?: object): string
  /** A call of `/init` was applied, whole or in part. */
  applied(progress: InitProgress): void
}

interface Parts {
  readonly token: AccessToken
  readonly defaults: Defaults
}

/** Makes what writes the state; it begins with what was restored. */
export function createStateText({ token, defaults }: Parts, restored: InitProgress): StateText {
  let progress = restored
  return {
    text: (more = {}) =>
      JSON.stringify({
        ...more,
        version: STATE_VERSION,
        token: token.withToken((text) => text) ?? null,
        user: defaults.user,
        workdir: defaults.workdir ?? null,
        env: defaults.env.fromOutside(),
        progress: { ...progress, newest: String(progress.newest) },
      }),
    applied: (now) => {
      progress = now
    },
  }
}

/** Sets token and defaults as the text says. Undefined, with nothing set: it is not understood. */
export function restoreState(text: string, { token, defaults }: Parts): InitProgress | undefined {
  const state = parseJsonAs(text, isState)
  if (state === undefined) return undefined
  if (state.token === null) token.clear()
  else token.set(state.token)
  defaults.user = state.user
  defaults.workdir = state.workdir ?? undefined
  defaults.env.replaceUser(state.env)
  return { ...state.progress, newest: BigInt(state.progress.newest) }
}

interface State {
  readonly token: string | null
  readonly user: string
  readonly workdir: string | null
  readonly env: [string, string][]
  readonly progress: { readonly initialized: boolean; readonly newest: string; readonly userNamed: boolean }
}

function isState(value: unknown): value is State {
  if (!isObject(value) || !isReadable(value['version'])) return false
  const { token, user, workdir, env, progress } = value
  if (typeof user !== 'string' || !isTextOrNull(workdir) || !(token === null || isText(token))) return false
  return Array.isArray(env) && env.every(isPair) && isProgress(progress)
}

function isProgress(value: unknown): boolean {
  if (!isObject(value) || typeof value['newest'] !== 'string') return false
  const { initialized, newest, userNamed } = value
  return typeof initialized === 'boolean' && typeof userNamed === 'boolean' && /^-?\d+$/.test(newest)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isTextOrNull(value: unknown): boolean {
  return value === null || typeof value === 'string'
}

function isPair(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string')
}
