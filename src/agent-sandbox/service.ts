import type { ByteBudget } from '../budget/budget.ts'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import { AppError } from '../errors.ts'
import {
  type ProcessConfig as ConfigMessage,
  type ExecuteRequest,
  type ResizeTTYRequest,
  type SendSignalRequest,
  Signal,
  type StartRequest,
  type WriteStdinRequest,
} from '../gen/agent-sandbox/process_pb.js'
import { NEVER } from '../lib/never.ts'
import { copyOutput, type Output } from '../process/convert.ts'
import { follow, type StreamItem } from '../process/follow.ts'
import type { StreamName } from '../process/output-log.ts'
import type { ProcessConfig, RunningProcess } from '../process/process.ts'
import type { Registry } from '../process/registry.ts'
import type { ProcessService } from '../process/service.ts'
import type { SignalName } from '../process/terminate.ts'

/** A stream of a process that was started. */
interface Started {
  readonly items: AsyncIterable<StreamItem<Output>>
  /** Aborts when the stream must end although its client does not read. */
  readonly ended: AbortSignal
  readonly pid: number
}

/** The output of Execute: with its message below the 4 MiB that clients of gRPC take. */
export const MAX_EXECUTE_OUTPUT = 4 * 1024 * 1024 - 64 * 1024

/** Execute sends nothing in between. */
const NO_KEEPALIVE = 86_400_000

const SIGNALS: ReadonlyMap<Signal, SignalName> = new Map([
  [Signal.SIGINT, 'SIGINT'],
  [Signal.SIGKILL, 'SIGKILL'],
  [Signal.SIGTERM, 'SIGTERM'],
])

/** The calls of `process.v1.ProcessService`. Each rejects with AppError. */
export type AgentSandboxService = ReturnType<typeof createAgentSandboxService>

/** Makes the service: the processes are those of `process.Process`, which lists them as well. */
export function createAgentSandboxService({
  processes,
  registry,
  budget,
}: {
  readonly processes: Pick<ProcessService, 'run'>
  readonly registry: Registry
  readonly budget: ByteBudget
}) {
  return {
    /** Starts a command with an open standard input, or in a terminal. It outlives its caller, but not its deadline. */
    async start({ config, pty }: StartRequest, caller: StreamCaller): Promise<Started> {
      const terminal = pty === undefined ? undefined : { columns: pty.cols, rows: pty.rows }
      const command = { config: toConfig(config), tag: undefined, terminal, stdin: true, replay: false }
      const running = await processes.run(command, caller)
      const items = follow({ ...running, deadline: caller.deadline }, caller.keepalive, copyOutput)
      return { items, ended: running.reader.signal, pid: running.process.pid }
    },

    /**
     * Runs a command without input to its end, which comes early when the caller leaves or there is too much output.
     */
    async execute({ config }: ExecuteRequest, caller: Caller) {
      const hold = budget.hold('frame', { connection: caller.connection, user: caller.user ?? '' })
      const command = { config: toConfig(config), tag: undefined, terminal: undefined, stdin: false, replay: false }
      const how = { signal: caller.signal, keepalive: NO_KEEPALIVE, deadline: undefined }
      const running = await processes.run(command, { ...caller, ...how })
      try {
        return await collect(follow(running, NO_KEEPALIVE, copyOutput), (bytes) => hold.grow(bytes))
      } catch (error) {
        running.process.signal('SIGKILL', NEVER)
        throw error
      } finally {
        hold.release()
      }
    },

    /** Writes to the pipe or terminal of a process, or closes the pipe. */
    async writeStdin({ processId, payload }: WriteStdinRequest, caller: Caller) {
      const process = registry.find({ pid: processId })
      if (payload.case === undefined) throw new AppError('invalid_argument', 'neither input nor eof is set')
      if (payload.case === 'eof') await process.closeStdin(caller.signal)
      else await process.write(inputOf(process), payload.value, caller)
      return {}
    },

    /** Signals the session of a process, as `process.Process/SendSignal` does. */
    sendSignal({ processId, signal }: SendSignalRequest) {
      const name = SIGNALS.get(signal)
      if (name === undefined) throw new AppError('invalid_argument', `unknown signal ${signal}`)
      // A caller that goes away must not leave half a session behind.
      const { refused } = registry.find({ pid: processId }).signal(name, NEVER)
      if (refused !== undefined) throw refused
      return {}
    },

    /** Changes the size of a terminal. */
    resizeTTY({ processId, cols, rows }: ResizeTTYRequest) {
      registry.find({ pid: processId }).resize({ columns: cols, rows })
      return {}
    },
  }
}

function inputOf({ hasTerminal }: RunningProcess): 'stdin' | 'pty' {
  return hasTerminal ? 'pty' : 'stdin'
}

function toConfig(message: ConfigMessage | undefined): ProcessConfig {
  const [cmd = '', ...args] = message?.command ?? []
  return { cmd, args, envs: message?.envVars ?? {}, cwd: message?.cwd }
}

async function collect(items: AsyncIterable<StreamItem<Output>>, grow: (bytes: number) => void) {
  const output: Record<StreamName, Uint8Array[]> = { stdout: [], stderr: [], pty: [] }
  let size = 0
  let exitCode = -1
  for await (const item of items) {
    if (item.kind === 'end') exitCode = item.end.exitCode
    if (item.kind !== 'data') continue
    size += item.data.bytes.length
    if (size > MAX_EXECUTE_OUTPUT)
      throw new AppError(
        'resource_exhausted',
        `the output is longer than ${MAX_EXECUTE_OUTPUT} bytes: Start streams it`,
      )
    grow(item.data.bytes.length)
    output[item.data.stream].push(item.data.bytes)
  }
  return { exitCode, stdout: Buffer.concat(output.stdout), stderr: Buffer.concat(output.stderr) }
}
