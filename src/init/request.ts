import { AppError } from '../errors.ts'
import { readJson } from '../json/read-json.ts'
import { EVERYTHING, type Shape } from '../json/shape.ts'
import { parseRfc3339 } from '../lib/rfc3339.ts'
import { fromUtf8 } from '../lib/utf8.ts'
import type { VolumeMount } from './host/volumes.ts'

/** What `POST /init` asks for; absent members are to stay as they are. */
export interface InitRequest {
  readonly accessToken: string | undefined
  readonly envVars: ReadonlyMap<string, string> | undefined
  readonly defaultUser: string | undefined
  readonly defaultWorkdir: string | undefined
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint | undefined
  /** Which life of the sandbox this is; empty: not given. */
  readonly lifecycleID: string
  /** Address of the events service; empty: stays as it is. */
  readonly hyperloopIP: string
  /** Certificates to trust, PEM; empty: none. */
  readonly caBundle: string
  readonly volumeMounts: readonly VolumeMount[]
  /** CPUs that shall be online; any integer. */
  readonly cpuCount: number | undefined
  /** A freeze is to stay in effect. */
  readonly skipThaw: boolean
}

/** Up to this size a body is parsed at once: whatever it says takes a few milliseconds. */
const SMALL_BODY = 16 * 1024

/** 16 k variables or 64 k other values. */
const LIMITS = { depth: 16, values: 64 * 1024, text: 4 * 1024 * 1024 }

/**
 * Reads the body of `POST /init` (contract F4): JSON, or nothing. Keys match in any case, unknown ones are ignored,
 * `null` means absent. Throws AppError `invalid_argument` for everything else; its message never contains what was
 * sent.
 */
export async function parseInitRequest(body: Buffer, signal: AbortSignal): Promise<InitRequest> {
  const { value, escapedToken } = body.length <= SMALL_BODY ? parseSmall(body) : await parseLarge(body, signal)
  if (value !== null && (typeof value !== 'object' || Array.isArray(value))) throw invalid('the body must be an object')
  const members = membersOf(value ?? {})
  const accessToken = stringOf(members, 'accessToken')
  if (accessToken === '' || escapedToken) throw invalid('accessToken must not be empty or contain a backslash')
  return {
    accessToken,
    envVars: envVarsOf(members.get('envvars')),
    defaultUser: stringOf(members, 'defaultUser'),
    defaultWorkdir: stringOf(members, 'defaultWorkdir'),
    timestamp: timestampOf(stringOf(members, 'timestamp')),
    lifecycleID: stringOf(members, 'lifecycleID') ?? '',
    hyperloopIP: stringOf(members, 'hyperloopIP') ?? '',
    caBundle: stringOf(members, 'caBundle') ?? '',
    volumeMounts: volumeMountsOf(members.get('volumemounts')),
    cpuCount: integerOf(members, 'cpuCount'),
    skipThaw: stringOf(members, 'thaw') === 'skip',
  }
}

function textOf(body: Buffer): string {
  try {
    return fromUtf8(body)
  } catch {
    throw invalid('the body is not UTF-8')
  }
}

type Members = ReadonlyMap<string, unknown>

/** By name in small letters; the last one of a name counts. */
function membersOf(value: object): Members {
  return new Map(Object.entries(value).map(([name, member]) => [name.toLowerCase(), member]))
}

/** What newer engines give a reviver as well: the text that a string, number or literal was written as. */
type Reviver = (this: unknown, key: string, value: unknown, context?: { readonly source?: string }) => unknown

/**
 * What may have such a token: only then is every value of a text looked at as it was written, which takes far longer.
 * Certificates always have escapes.
 */
const SUSPICIOUS = /"accesstoken"\s*:\s*"[^"\\]*\\|\\u/i

interface Parsed {
  readonly value: unknown
  readonly escapedToken: boolean
}

function parseSmall(body: Buffer): Parsed {
  const text = textOf(body).trim()
  return text === '' ? { value: null, escapedToken: false } : parseJson(text)
}

/** In turns, and bounded in what it builds. */
async function parseLarge(body: Buffer, signal: AbortSignal): Promise<Parsed> {
  let escapedToken = false
  const onEscape = () => {
    escapedToken = true
  }
  const value = await readJson(body, wholeBody(onEscape), { limits: LIMITS, signal }).catch((error) => {
    throw error instanceof AppError || signal.aborted ? error : invalid('the body is not valid JSON')
  })
  return { value, escapedToken }
}

/** Everything; told of an access token, a member of the outermost object, that was written with escapes. */
function wholeBody(onEscape: () => void): Shape {
  const member = (name: string): Shape | undefined => {
    const shape = EVERYTHING.member(name)
    return shape && name.toLowerCase() === 'accesstoken' ? { ...shape, onEscape } : shape
  }
  return { ...EVERYTHING, member }
}

/** Parses, and returns whether the access token, a member of the outermost object, was written with escapes. */
function parseJson(text: string): Parsed {
  const holders = new Set<unknown>()
  const noteEscapes: Reviver = function (key, value, context) {
    if (key.toLowerCase() === 'accesstoken' && context?.source?.includes('\\')) holders.add(this)
    return value
  }
  try {
    const value: unknown = SUSPICIOUS.test(text) ? JSON.parse(text, noteEscapes) : JSON.parse(text)
    return { value, escapedToken: holders.has(value) }
  } catch {
    throw invalid('the body is not valid JSON')
  }
}

function stringOf(members: Members, name: string): string | undefined {
  const value = members.get(name.toLowerCase()) ?? undefined
  if (value !== undefined && typeof value !== 'string') throw invalid(`${name} must be a string`)
  return value
}

/** Integers of 64 bits, which senders may mean. */
const MAX_INTEGER = 2 ** 63

function integerOf(members: Members, name: string): number | undefined {
  const value = members.get(name.toLowerCase()) ?? undefined
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isInteger(value) || Math.abs(value) > MAX_INTEGER)
    throw invalid(`${name} must be an integer`)
  return value
}

function envVarsOf(value: unknown): ReadonlyMap<string, string> | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid('envVars must be an object of strings')
  const variables = new Map<string, string>()
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== 'string' && text !== null) throw invalid('envVars must be an object of strings')
    variables.set(name, text ?? '')
  }
  return variables
}

function volumeMountsOf(value: unknown): readonly VolumeMount[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw invalid('volumeMounts must be an array')
  return value.map((mount: unknown) => {
    if (typeof mount !== 'object' || mount === null || Array.isArray(mount)) {
      throw invalid('volumeMounts must be an array of objects')
    }
    const members = membersOf(mount)
    return { nfsTarget: stringOf(members, 'nfs_target') ?? '', path: stringOf(members, 'path') ?? '' }
  })
}

function timestampOf(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined
  const timestamp = parseRfc3339(text)
  if (timestamp === undefined) throw invalid('timestamp must be an RFC 3339 date and time')
  return timestamp
}

function invalid(message: string): AppError {
  return new AppError('invalid_argument', message)
}
