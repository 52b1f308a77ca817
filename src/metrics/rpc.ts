import type { MessageInitShape } from '@bufbuild/protobuf'
import { list, stream, unary } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Metrics, type WatchResponseSchema } from '../gen/metrics/metrics_pb.js'
import { type MetricsItem, type MetricsService, toMessage } from './service.ts'

/** The methods of `metrics.Metrics`. */
export function metricsRpc(service: MetricsService): ServiceTable {
  return serviceTable(Metrics, {
    get: unary(service.get),
    list: list('samples', service.list),
    watch: stream(service.watch, toResponse),
  })
}

function toResponse(item: MetricsItem): MessageInitShape<typeof WatchResponseSchema> {
  if (item.kind === 'keepalive') return { event: { case: 'keepalive', value: {} } }
  return { event: { case: 'sample', value: toMessage(item.sample) } }
}
