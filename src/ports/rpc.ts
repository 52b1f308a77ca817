import type { MessageInitShape } from '@bufbuild/protobuf'
import { list, stream } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Ports, type WatchResponseSchema } from '../gen/ports/ports_pb.js'
import type { PortItem, PortsService } from './service.ts'

/** The methods of `ports.Ports`. */
export function portsRpc(service: PortsService): ServiceTable {
  return serviceTable(
    Ports,
    {
      list: list('listeners', ({ filter }, caller) => service.list(filter, caller)),
      watch: stream(({ filter }, caller) => service.watch(filter, caller), toResponse),
    },
    { logger: 'port-forwarder' },
  )
}

function toResponse(item: PortItem): MessageInitShape<typeof WatchResponseSchema> {
  switch (item.kind) {
    case 'snapshot':
      return { event: { case: 'snapshot', value: { listeners: item.listeners, more: item.more } } }
    case 'keepalive':
      return { event: { case: 'keepalive', value: {} } }
    default:
      return { event: { case: item.kind, value: item.listener } }
  }
}
