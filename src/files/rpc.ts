import { batches, stream, unary, withList } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Files } from '../gen/files/v1/files_pb.js'
import { EDIT_REQUEST_BYTES } from './limits.ts'
import { toChecksumResponse, toFindResponse, toGrepResponse } from './search-convert.ts'
import type { FilesService } from './service.ts'
import { toCopyResponse, toDiskUsageResponse, toSetAttributesResponse } from './tree-convert.ts'

/** The methods of `files.v1.Files`. */
export function filesRpc(service: FilesService): ServiceTable {
  return serviceTable(
    Files,
    {
      readLines: withList('lines', service.readLines),
      edit: unary(service.edit, { limit: { bytes: EDIT_REQUEST_BYTES, kind: 'edit' } }),
      undo: unary(service.undo),
      find: batches(service.find, toFindResponse),
      grep: batches(service.grep, toGrepResponse),
      checksum: batches(service.checksum, toChecksumResponse),
      copy: stream(service.copy, toCopyResponse),
      setAttributes: stream(service.setAttributes, toSetAttributesResponse),
      diskUsage: batches(service.diskUsage, toDiskUsageResponse),
      symlink: unary(service.symlink),
      readLink: unary(service.readLink),
      truncate: unary(service.truncate),
    },
    { logger: 'filesystem' },
  )
}
