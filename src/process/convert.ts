import type { MessageInitShape } from '@bufbuild/protobuf'
import { AppError } from '../errors.ts'
import type {
  ProcessConfig as ConfigMessage,
  ProcessEventSchema,
  ProcessInfoSchema,
  ProcessInput,
  ProcessSelector,
  PTY,
} from '../gen/process/process_pb.js'
import type { StreamItem } from './follow.ts'
import type { StreamName } from './output-log.ts'
import type { ProcessConfig, RunningProcess, TerminalSize } from './process.ts'
import type { Selector } from './registry.ts'

/** The domain's form of a request's process; a missing message is one with an empty command. */
export function toConfig(message: ConfigMessage | undefined): ProcessConfig {
  return { cmd: message?.cmd ?? '', args: message?.args ?? [], envs: message?.envs ?? {}, cwd: message?.cwd }
}

/** Columns and rows; a terminal without a size has none of either. */
export function toSize(pty: PTY): TerminalSize {
  return { columns: pty.size?.cols ?? 0, rows: pty.size?.rows ?? 0 }
}

/** Throws `unimplemented` for a request that selects nothing (contract D33). */
export function toSelector(message: ProcessSelector | undefined): Selector {
  const selector = message?.selector
  if (selector?.case === 'pid') return { pid: selector.value }
  if (selector?.case === 'tag') return { tag: selector.value }
  throw new AppError('unimplemented', 'invalid input type *process.ProcessSelector')
}

/** Throws `unimplemented` for an input that carries nothing (contract D50). */
export function toInput(message: ProcessInput | undefined): {
  readonly kind: 'stdin' | 'pty'
  readonly bytes: Uint8Array
} {
  const input = message?.input
  if (input?.case === undefined) throw new AppError('unimplemented', 'invalid input type <nil>')
  return { kind: input.case, bytes: input.value }
}

/** One line of `List`, as it was asked for (contract D43, D44). */
export function toInfo({ pid, tag, config }: RunningProcess): MessageInitShape<typeof ProcessInfoSchema> {
  const { cmd, args, envs, cwd } = config
  const optional = { ...(tag === undefined ? {} : { tag }) }
  return {
    config: { cmd, args: [...args], envs: { ...envs }, ...(cwd === undefined ? {} : { cwd }) },
    pid,
    ...optional,
  }
}

/** Bytes of one stream, on their way into a DataEvent. */
export interface Output {
  readonly stream: StreamName
  readonly bytes: Uint8Array
}

/** A copy that outlives the chunk, whose memory may be written again before the bytes are sent. */
export function copyOutput({ stream, bytes }: Output): Output {
  return { stream, bytes: Uint8Array.from(bytes) }
}

/** The wire's event of a stream item. */
export function toEvent(item: StreamItem<Output>): MessageInitShape<typeof ProcessEventSchema> {
  switch (item.kind) {
    case 'start':
      return { event: { case: 'start', value: { pid: item.pid } } }
    case 'data':
      return { event: { case: 'data', value: { output: { case: item.data.stream, value: item.data.bytes } } } }
    case 'keepalive':
      return { event: { case: 'keepalive', value: {} } }
    case 'end': {
      const { exitCode, exited, status, error } = item.end
      return { event: { case: 'end', value: { exitCode, exited, status, ...(error === undefined ? {} : { error }) } } }
    }
  }
}
