import { errnoText } from '../lib/errno-text.ts'
import type { ExitStatus, SpawnFailure } from '../native/index.ts'
import type { OutputLog, StreamName } from './output-log.ts'
import type { ProcessDeposit } from './process-deposit.ts'

/** Exit codes of a shell for a program that is missing, or that cannot be run (contract D4). */
const NOT_FOUND = 127
const NOT_RUNNABLE = 126

/** A program that could not be run: what it "said", and how it "ended". */
export interface NotRun {
  readonly pid: number
  readonly text: string
  readonly status: ExitStatus
}

/** A program that is missing, a directory, not executable, or in no format the kernel knows. */
export function notRun(cmd: string, { code, pid }: SpawnFailure): NotRun {
  const exitCode = code === 'ENOENT' || code === 'ENOTDIR' ? NOT_FOUND : NOT_RUNNABLE
  return { pid, text: `${cmd}: ${errnoText(code)}\n`, status: { exitCode } }
}

/** Puts what it said into its log, and where the next daemon finds it. */
export function say(
  text: string,
  stream: StreamName,
  { output, deposit }: { readonly output: OutputLog; readonly deposit: ProcessDeposit | undefined },
): void {
  const bytes = Buffer.from(text)
  const kept = deposit?.output.write(stream, bytes)
  output.append(stream, kept?.bytes ?? bytes, kept?.slab)
}
