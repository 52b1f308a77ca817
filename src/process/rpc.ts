import type { MessageInitShape } from '@bufbuild/protobuf'
import { clientStream, list, openedStream, unary } from '../calls/builders.ts'
import type { StreamCaller } from '../calls/caller.ts'
import type { FrameSource } from '../calls/implementation.ts'
import type { Codec } from '../calls/message-frame.ts'
import type { MessageLimit } from '../calls/message-limit.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Process, type ProcessEventSchema } from '../gen/process/process_pb.js'
import { copyOutput, toEvent } from './convert.ts'
import { type Followed, follow } from './follow.ts'
import { FramePool } from './frame-pool.ts'
import { chunkFrame, itemFrame } from './frames.ts'
import { splitInput } from './input-pieces.ts'
import type { ProcessService } from './service.ts'

const MIB = 1024 * 1024

/** The kernel takes 6 MiB of arguments and variables, which JSON may write twice as long. */
export const COMMAND: MessageLimit = { bytes: 16 * MIB, kind: 'body' }

/** The 16 MiB that may wait for a process (`MAX_QUEUED_BYTES`), in base64. */
export const INPUT: MessageLimit = { bytes: 24 * MIB, kind: 'input' }

/** The methods of `process.Process`. */
export function processRpc(service: ProcessService): ServiceTable {
  const pool = new FramePool()
  return serviceTable(Process, {
    // Each process may have 2 MiB of arguments and environment.
    list: list('processes', () => oneByOne(service.list()), { batch: 1 }),
    connect: openedStream(async (request, caller) => following(await service.connect(request, caller), caller, pool)),
    start: openedStream(async (request, caller) => following(await service.start(request, caller), caller, pool), {
      limit: COMMAND,
    }),
    update: unary(service.update),
    streamInput: clientStream(service.streamInput, { limit: INPUT, split: splitInput }),
    sendInput: unary(service.sendInput, { limit: INPUT }),
    sendSignal: unary(service.sendSignal),
    closeStdin: unary(service.closeStdin),
  })
}

async function* oneByOne<T>(items: Iterable<T>): AsyncGenerator<readonly T[], void> {
  for (const item of items) yield [item]
}

/** Start and Connect have the same response but for its name. */
interface EventResponse {
  readonly event: MessageInitShape<typeof ProcessEventSchema>
}

/** The response header for a command that was started before. */
const REPLAYED = { 'Idempotency-Replayed': 'true' }

function following(followed: Followed, caller: StreamCaller, pool: FramePool) {
  return new FollowingStream(followed, caller, pool)
}

/** Its signal is made when it is asked for (`RequestCaller`). */
class FollowingStream {
  readonly pid: number
  readonly headers: Readonly<Record<string, string>>
  readonly #followed: Followed
  readonly #caller: StreamCaller
  readonly #pool: FramePool

  constructor(followed: Followed, caller: StreamCaller, pool: FramePool) {
    this.pid = followed.process.pid
    this.headers = followed.replayed === true ? REPLAYED : {}
    this.#followed = followed
    this.#caller = caller
    this.#pool = pool
  }

  get ended(): AbortSignal {
    return this.#followed.reader.signal
  }

  messages(): AsyncGenerator<EventResponse[], void> {
    return messagesOf(this.#followed, this.#caller)
  }

  frames(codec: Codec): FrameSource {
    const pool = this.#pool
    const frames = framesOf(this.#followed, this.#caller, { codec, pool })
    return { frames, sent: (frame) => pool.give(frame) }
  }
}

async function* messagesOf(followed: Followed, { keepalive }: StreamCaller): AsyncGenerator<EventResponse[], void> {
  const { resumable = false } = followed
  for await (const item of follow(followed, keepalive, copyOutput)) yield [{ event: toEvent(item, resumable) }]
}

async function* framesOf(
  followed: Followed,
  { keepalive }: StreamCaller,
  { codec, pool }: { readonly codec: Codec; readonly pool: FramePool },
): AsyncGenerator<Uint8Array, void> {
  const options = { codec, pool, offsets: followed.resumable === true }
  for await (const item of follow(followed, keepalive, (chunk) => chunkFrame(chunk, options)))
    yield itemFrame(item, codec)
}
