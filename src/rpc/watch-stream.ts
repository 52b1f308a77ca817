import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { WatchDirRequestSchema, WatchDirResponseSchema } from '../gen/filesystem/filesystem_pb.js'
import type { WatchItem, WatchService } from '../watch/service.ts'
import { isLegacy, LEGACY_HEADER, reduce } from './legacy.ts'
import { type Codec, messageFrame } from './message-frame.ts'
import type { StreamMethod } from './stream-route.ts'

/** WatchDir as `serveStream` runs it. */
export function watchStream(service: WatchService): StreamMethod<typeof WatchDirRequestSchema> {
  return {
    name: 'filesystem.Filesystem/WatchDir',
    input: WatchDirRequestSchema,
    async open(request, caller, codec) {
      const { batches, ended } = await service.watchDir(request, caller)
      const legacy = isLegacy(caller.userAgent)
      const headers = legacy ? { [LEGACY_HEADER]: 'true' } : {}
      return { frames: framesOf(batches, codec, legacy), ended, headers }
    },
  }
}

/** One piece of bytes for each batch. */
async function* framesOf(
  batches: AsyncIterable<readonly WatchItem[]>,
  codec: Codec,
  legacy: boolean,
): AsyncGenerator<Uint8Array, void> {
  for await (const items of batches) {
    const frames = items.map((item) => frameOf(item, codec, legacy))
    yield frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames)
  }
}

function frameOf(item: WatchItem, codec: Codec, legacy: boolean): Buffer {
  const message = create(WatchDirResponseSchema, toWatchResponse(item))
  if (legacy) reduce(message)
  return messageFrame(WatchDirResponseSchema, message, codec)
}

/** The wire's message of a watch item. */
export function toWatchResponse(item: WatchItem): MessageInitShape<typeof WatchDirResponseSchema> {
  if (item.kind === 'event') return { event: { case: 'filesystem', value: item.event } }
  return { event: { case: item.kind, value: {} } }
}
