/** A call that failed, or a command line that makes no sense; the message is for people. */
export class Failure extends Error {
  /** Connect's name of the code; `usage`: the command line; `lost`: the connection broke, or there was none. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'Failure'
    this.code = code
  }
}

/** Whether another attempt may go better. */
export function isPassing(error: unknown): boolean {
  return error instanceof Failure && (error.code === 'lost' || error.code === 'unavailable')
}
