import type { MessageInitShape } from '@bufbuild/protobuf'
import { AppError } from '../errors.ts'
import type {
  ProcessConfig as ConfigMessage,
  OutputOffsets,
  ProcessEventSchema,
  ProcessInfoSchema,
  ProcessInput,
  ProcessSelector,
  PTY,
} from '../gen/process/process_pb.js'
import type { StreamItem } from './follow.ts'
import type { Offsets, StreamName } from './output-log.ts'
import type { ProcessConfig, RunningProcess, TerminalSize } from './process.ts'
import type { Selector } from './registry.ts'

/** The domain's form of a request's process; a missing message is one with an empty command. */
export function toConfig(message: ConfigMessage | undefined): ProcessConfig {
  return { cmd: message?.cmd ?? '', args: message?.args ?? [], envs: message?.envs ?? {}, cwd: message?.cwd }
}

/** The size of a terminal; 0 columns and rows if the request has none. */
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

/**
 * The domain's form of a position in each stream. No process has so much output that its position is not exact as a
 * number.
 */
export function toOffsets({ stdout, stderr, pty }: OutputOffsets): Offsets {
  return { stdout: Number(stdout), stderr: Number(stderr), pty: Number(pty) }
}

/** Bytes of one stream, on their way into a DataEvent. */
export interface Output {
  readonly stream: StreamName
  /** Position of the first byte in its stream. */
  readonly offset: number
  readonly bytes: Uint8Array
}

/** A copy that outlives the chunk, whose memory may be written again before the bytes are sent. */
export function copyOutput({ stream, offset, bytes }: Output): Output {
  return { stream, offset, bytes: Uint8Array.from(bytes) }
}

/** The wire's event of a stream item. @param offsets data says where in its stream it begins. */
export function toEvent(item: StreamItem<Output>, offsets: boolean): MessageInitShape<typeof ProcessEventSchema> {
  switch (item.kind) {
    case 'start':
      return { event: { case: 'start', value: { pid: item.pid, ...offsetsField(item.offsets) } } }
    case 'data': {
      const { stream, bytes, offset } = item.data
      const position = offsets ? { offset: BigInt(offset) } : {}
      return { event: { case: 'data', value: { output: { case: stream, value: bytes }, ...position } } }
    }
    case 'keepalive':
      return { event: { case: 'keepalive', value: {} } }
    case 'end': {
      const { exitCode, exited, status, error } = item.end
      return { event: { case: 'end', value: { exitCode, exited, status, ...(error === undefined ? {} : { error }) } } }
    }
  }
}

function offsetsField(offsets: Offsets | undefined) {
  if (offsets === undefined) return {}
  const { stdout, stderr, pty } = offsets
  return { offsets: { stdout: BigInt(stdout), stderr: BigInt(stderr), pty: BigInt(pty) } }
}
