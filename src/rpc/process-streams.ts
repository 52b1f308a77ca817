import { ConnectRequestSchema, StartRequestSchema } from '../gen/process/process_pb.js'
import { type Followed, follow } from '../process/follow.ts'
import type { ProcessService } from '../process/service.ts'
import type { StreamCaller } from './caller.ts'
import { FramePool } from './frame-pool.ts'
import type { Codec } from './message-frame.ts'
import { chunkFrame, itemFrame } from './process-frames.ts'
import type { OpenStream, StreamMethod } from './stream-route.ts'

/** Start and Connect as `serveStream` runs them. */
export function processStreams(service: ProcessService): StreamMethod[] {
  const pool = new FramePool()
  const start: StreamMethod<typeof StartRequestSchema> = {
    name: 'process.Process/Start',
    input: StartRequestSchema,
    open: async (request, caller, codec) => openStream(await service.start(request, caller), { caller, codec, pool }),
  }
  const connect: StreamMethod<typeof ConnectRequestSchema> = {
    name: 'process.Process/Connect',
    input: ConnectRequestSchema,
    open: async (request, caller, codec) => openStream(await service.connect(request, caller), { caller, codec, pool }),
  }
  return [start, connect]
}

/** An exit that was kept waits for nobody. */
const never = new AbortController().signal

interface StreamContext {
  readonly caller: StreamCaller
  readonly codec: Codec
  readonly pool: FramePool
}

function openStream(followed: Followed, context: StreamContext): OpenStream {
  const ended = 'reader' in followed ? followed.reader.signal : never
  return { frames: framesOf(followed, context), ended, sent: (frame) => context.pool.give(frame) }
}

async function* framesOf(followed: Followed, { caller, codec, pool }: StreamContext): AsyncGenerator<Uint8Array, void> {
  for await (const item of follow(followed, caller.keepalive, (chunk) => chunkFrame(chunk, codec, pool)))
    yield itemFrame(item, codec)
}
