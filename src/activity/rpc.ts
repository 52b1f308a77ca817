import type { MessageInitShape } from '@bufbuild/protobuf'
import { stream, unary } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Activity, type WatchResponseSchema } from '../gen/activity/v1/activity_pb.js'
import type { ActivityItem, ActivityService } from './service.ts'

/** The methods of `activity.v1.Activity`. */
export function activityRpc(service: ActivityService): ServiceTable {
  return serviceTable(
    Activity,
    { get: unary(service.get), watch: stream((_, caller) => service.watch(caller), toResponse) },
    { logger: 'activity' },
  )
}

function toResponse(item: ActivityItem): MessageInitShape<typeof WatchResponseSchema> {
  if (item.kind === 'keepalive') return { event: { case: 'keepalive', value: {} } }
  return { event: { case: 'status', value: item.status } }
}
