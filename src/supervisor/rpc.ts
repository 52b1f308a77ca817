import type { MessageInitShape } from '@bufbuild/protobuf'
import { stream, unary } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Supervisor, type WatchResponseSchema } from '../gen/supervisor/supervisor_pb.js'
import type { SupervisorService, WatchItem } from './service.ts'

/** The methods of `supervisor.Supervisor`. */
export function supervisorRpc(service: SupervisorService): ServiceTable {
  return serviceTable(Supervisor, {
    get: unary(service.get),
    list: unary(service.list),
    watch: stream(service.watch, toResponse),
    start: unary(service.start),
    stop: unary(service.stop),
  })
}

function toResponse(item: WatchItem): MessageInitShape<typeof WatchResponseSchema> {
  if (item.kind === 'keepalive') return { event: { case: 'keepalive', value: {} } }
  return { event: { case: 'status', value: item.status } }
}
