/** Who calls, and how long the answer is wanted: everything a feature needs to know about a request. */
export interface Caller {
  /** User name of the Basic authorization; undefined: none was sent, the default user is meant. */
  readonly user: string | undefined
  /** When the call had come as a whole, on the clock of performance.now(); undefined: not known. */
  readonly since?: number | undefined
  /**
   * Aborts when the client leaves, its deadline passes or the daemon stops; its reason is the AppError to answer with.
   * Made when it is first asked for; not among what a spread of the caller copies.
   */
  readonly signal: AbortSignal
  /** Whether `signal` has aborted, without making one that was not asked for yet; undefined: the signal says it. */
  readonly isOver?: () => boolean
  readonly userAgent: string
  /** A header of the request, by its name in small letters; several of one name are joined with commas. */
  readonly header: (name: string) => string | undefined
  /** The connection that the call came by, for its share of the byte budget; undefined for the daemon's own calls. */
  readonly connection?: object | undefined
  /** The request's number, for log lines; undefined for the daemon's own calls. */
  readonly operationId?: string | undefined
}

/** A caller of a server stream. */
export interface StreamCaller extends Caller {
  /** Milliseconds between keepalives while nothing else is sent. */
  readonly keepalive: number
  /** When the call's time is over, on the clock of performance.now(); undefined: no limit. */
  readonly deadline: number | undefined
}

/** The one client that fails on fields it does not know: exactly this user agent, no prefix (contract J1). */
const LEGACY_AGENT = 'connect-python'

/** Whether the caller is a client that must get no field that its first release did not know. */
export function isLegacy({ userAgent }: Pick<Caller, 'userAgent'>): boolean {
  return userAgent === LEGACY_AGENT
}
