/** An RPC that is over. */
export interface FinishedCall {
  /** `package.Service/Method`; only methods that exist. */
  readonly method: string
  /** `ok`, or the code of the error as the wire spells it. */
  readonly code: string
  /** How long it took; a stream lasts until its end. */
  readonly seconds: number
}
