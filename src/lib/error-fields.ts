/** What a log line may say of an unexpected error. */
interface ErrorFields {
  /** The class of the error, or the type of what was thrown instead of one. */
  readonly error: string
  /** `ENOENT`, `ERR_INVALID_ARG_VALUE` and their like. */
  readonly error_code?: string
  /** The calls that led to it, one a line, the innermost first. */
  readonly stack?: string
}

const MAX_FRAMES = 12

/** Describes an error without its message: that may quote what a client has sent. */
export function errorFields(error: unknown): ErrorFields {
  if (!(error instanceof Error)) return { error: typeof error }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const stack = framesOf(error)
  return {
    error: error.name,
    ...(code === undefined ? {} : { error_code: code }),
    ...(stack === '' ? {} : { stack }),
  }
}

/** What stands after the message; a stack that does not contain the message is not to be trusted. */
function framesOf({ message, stack = '' }: Error): string {
  const start = stack.indexOf(message)
  if (start < 0) return ''
  return stack
    .slice(start + message.length)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('at '))
    .slice(0, MAX_FRAMES)
    .join('\n')
}
