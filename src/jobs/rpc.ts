import type { MessageInitShape } from '@bufbuild/protobuf'
import { list, openedStream, stream, unary } from '../calls/builders.ts'
import type { StreamCaller } from '../calls/caller.ts'
import type { OpenStream } from '../calls/implementation.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Jobs, type ReadResponseSchema, type WatchResponseSchema } from '../gen/jobs/v1/jobs_pb.js'
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
      wait: unary(service.wait),
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
      watch: stream(service.watch, toChange),
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

function toChange(item: ChangeItem<JobMessage>): MessageInitShape<typeof WatchResponseSchema> {
  if (item.kind === 'watching') return { event: { case: 'watching', value: {} } }
  if (item.kind === 'keepalive') return { event: { case: 'keepalive', value: {} } }
  return { event: { case: item.kind === 'start' ? 'started' : 'ended', value: item.job } }
}
