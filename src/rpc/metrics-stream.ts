import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { WatchRequestSchema, WatchResponseSchema } from '../gen/metrics/metrics_pb.js'
import { type MetricsItem, type MetricsService, toMessage } from '../metrics/service.ts'
import { type Codec, messageFrame } from './message-frame.ts'
import type { StreamMethod } from './stream-route.ts'

/** Watch of the Metrics service as `serveStream` runs it. */
export function metricsStream(service: MetricsService): StreamMethod<typeof WatchRequestSchema> {
  return {
    name: 'metrics.Metrics/Watch',
    input: WatchRequestSchema,
    async open(request, caller, codec) {
      return { frames: framesOf(service.watch(request, caller), codec), ended: caller.signal }
    },
  }
}

/** The wire's message of an item. */
export function toMetricsResponse(item: MetricsItem): MessageInitShape<typeof WatchResponseSchema> {
  if (item.kind === 'keepalive') return { event: { case: 'keepalive', value: {} } }
  return { event: { case: 'sample', value: toMessage(item.sample) } }
}

async function* framesOf(items: AsyncIterable<MetricsItem>, codec: Codec): AsyncGenerator<Uint8Array, void> {
  for await (const item of items)
    yield messageFrame(WatchResponseSchema, create(WatchResponseSchema, toMetricsResponse(item)), codec)
}
