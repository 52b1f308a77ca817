import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { WatchRequestSchema, WatchResponseSchema } from '../gen/ports/ports_pb.js'
import type { PortItem, PortsService } from '../ports/service.ts'
import { type Codec, messageFrame } from './message-frame.ts'
import type { StreamMethod } from './stream-route.ts'

/** Watch of the Ports service as `serveStream` runs it. */
export function portsStream(service: PortsService): StreamMethod<typeof WatchRequestSchema> {
  return {
    name: 'ports.Ports/Watch',
    input: WatchRequestSchema,
    async open({ filter }, caller, codec) {
      return { frames: framesOf(service.watch(filter, caller), codec), ended: caller.signal }
    },
  }
}

/** The wire's message of an item. */
export function toPortsResponse(item: PortItem): MessageInitShape<typeof WatchResponseSchema> {
  switch (item.kind) {
    case 'snapshot':
      return { event: { case: 'snapshot', value: { listeners: item.listeners, more: item.more } } }
    case 'keepalive':
      return { event: { case: 'keepalive', value: {} } }
    default:
      return { event: { case: item.kind, value: item.listener } }
  }
}

async function* framesOf(items: AsyncIterable<PortItem>, codec: Codec): AsyncGenerator<Uint8Array, void> {
  for await (const item of items)
    yield messageFrame(WatchResponseSchema, create(WatchResponseSchema, toPortsResponse(item)), codec)
}
