import { stream } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Logs } from '../gen/logs/v1/logs_pb.js'
import type { LogsService } from './service.ts'

/** The methods of `logs.v1.Logs`. */
export function logsRpc(service: LogsService): ServiceTable {
  return serviceTable(Logs, { read: stream(service.read, (event) => ({ event })) }, { logger: 'logs' })
}
