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
