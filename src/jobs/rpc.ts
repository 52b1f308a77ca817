import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { freeNow } from '../budget/memory.ts'
import { list, openedStream, unary } from '../calls/builders.ts'
import type { StreamCaller } from '../calls/caller.ts'
import type { OpenStream } from '../calls/implementation.ts'
import { type Codec, messageFrame } from '../calls/message-frame.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Jobs, type ReadResponseSchema, WatchResponseSchema } from '../gen/jobs/v1/jobs_pb.js'
import { INPUT } from '../process/rpc.ts'
import type { ChangeItem } from './changes.ts'
import { toOffsets } from './convert.ts'
import type { Reading } from './read.ts'
import type { JobMessage, JobsService } from './service.ts'

/** The methods of `jobs.v1.Jobs`. */
export function jobsRpc(service: JobsService): ServiceTable {
  return serviceTable(
    Jobs,
    {
      get: unary(service.get),
      list: list('jobs', service.list),
      wait: unary(service.wait, { encoded: ({ stdout, stderr, pty }) => [stdout, stderr, pty].forEach(freeNow) }),
      read: openedStream(async (request, caller): Promise<OpenStream<typeof ReadResponseSchema>> => {
        const { process, reading } = await service.read(request, caller)
        return {
          ended: reading.reader.signal,
          pid: process.pid,
          messages: () => messagesOf(reading, caller, () => service.current(process)),
        }
      }),
      write: unary(service.write, { limit: INPUT }),
      kill: unary(service.kill),
      watch: openedStream(async (request, caller) => changesOf(service.watch(request, caller), caller)),
    },
    { logger: 'process' },
  )
}

type Response = MessageInitShape<typeof ReadResponseSchema>

async function* messagesOf(
  { reader, skipped, pieces }: Reading,
  { keepalive }: StreamCaller,
  current: () => Promise<JobMessage>,
): AsyncGenerator<Response[], void> {
  try {
    const begin = { offsets: toOffsets(reader.begins), skipped: toOffsets(skipped) }
    yield [{ event: { case: 'start', value: begin } }]
    for await (const piece of pieces(keepalive)) {
      if (piece === undefined) yield [{ event: { case: 'keepalive', value: {} } }]
      else {
        const output = { case: piece.stream, value: piece.bytes }
        yield [{ event: { case: 'data', value: { output, offset: BigInt(piece.offset) } } }]
      }
    }
    yield [{ event: { case: 'end', value: await current() } }]
  } finally {
    reader.close()
  }
}

type Changes = AsyncIterable<readonly ChangeItem<JobMessage>[]>

function changesOf(changes: Changes, { signal }: StreamCaller): OpenStream<typeof WatchResponseSchema> {
  return {
    ended: signal,
    async *messages() {
      for await (const items of changes) yield items.map(toChange)
    },
    frames: (codec) => ({ frames: framesOf(changes, codec), sent: () => {} }),
  }
}

async function* framesOf(changes: Changes, codec: Codec): AsyncGenerator<Uint8Array, void> {
  for await (const items of changes) {
    const frames = items.map((item) => changeFrame(item, codec))
    yield frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames)
  }
}

const madeFrames: Readonly<Record<Codec, WeakMap<object, Uint8Array>>> = { json: new WeakMap(), proto: new WeakMap() }

/** Made once for all who watch. */
function changeFrame(item: ChangeItem<JobMessage>, codec: Codec): Uint8Array {
  const known = madeFrames[codec].get(item)
  if (known !== undefined) return known
  const frame = messageFrame(WatchResponseSchema, create(WatchResponseSchema, toChange(item)), codec)
  madeFrames[codec].set(item, frame)
  return frame
}

function toChange(item: ChangeItem<JobMessage>): MessageInitShape<typeof WatchResponseSchema> {
  if (item.kind === 'watching') return { event: { case: 'watching', value: {} } }
  if (item.kind === 'keepalive') return { event: { case: 'keepalive', value: {} } }
  return { event: { case: item.kind === 'start' ? 'started' : 'ended', value: item.job } }
}
