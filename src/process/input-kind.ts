import { AppError } from '../errors.ts'

/** Throws `failed_precondition` for input of a pipe to a terminal, and the other way round (contract D50, N2). */
export function checkInputKind(kind: 'stdin' | 'pty', hasTerminal: boolean): void {
  if (kind === 'stdin' && hasTerminal)
    throw new AppError(
      'failed_precondition',
      'error writing to stdin: tty assigned to process — input should be written to the pty, not the stdin',
    )
  if (kind === 'pty' && !hasTerminal)
    throw new AppError(
      'failed_precondition',
      'error writing to tty: tty not assigned to process — input should be written to the stdin, not the tty',
    )
}

/** Throws `failed_precondition` for a terminal, which has no standard input to close (contract D55, N2). */
export function checkHasStdin(hasTerminal: boolean): void {
  if (hasTerminal)
    throw new AppError(
      'failed_precondition',
      'error closing stdin: cannot close stdin for PTY process — send Ctrl+D (0x04) instead',
    )
}

/** The `failed_precondition` of input for a command that reads none, or no more (contract D50). */
export function stdinClosed(): AppError {
  return new AppError('failed_precondition', 'error writing to stdin: stdin not enabled or closed')
}
