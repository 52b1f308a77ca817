import { unary } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Files } from '../gen/files/v1/files_pb.js'
import { EDIT_REQUEST_BYTES } from './limits.ts'
import type { FilesService } from './service.ts'

/** The methods of `files.v1.Files`. */
export function filesRpc(service: FilesService): ServiceTable {
  return serviceTable(
    Files,
    {
      readLines: unary(service.readLines),
      edit: unary(service.edit, { limit: { bytes: EDIT_REQUEST_BYTES, kind: 'edit' } }),
      undo: unary(service.undo),
    },
    { logger: 'filesystem' },
  )
}
