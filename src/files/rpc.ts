import type { MessageInitShape } from '@bufbuild/protobuf'
import { batches, stream, unary, withList } from '../calls/builders.ts'
import type { Caller } from '../calls/caller.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { type ChangesRequest, type ChangesResponseSchema, Files } from '../gen/files/v1/files_pb.js'
import { EDIT_REQUEST_BYTES } from './limits.ts'
import { toChecksumResponse, toFindResponse, toGrepResponse } from './search-convert.ts'
import type { FilesService } from './service.ts'
import { toCopyResponse, toDiskUsageResponse, toSetAttributesResponse } from './tree-convert.ts'

/** What has changed in a directory: who watches knows it. Rejects with AppError. */
type Changes = (request: ChangesRequest, caller: Caller) => Promise<MessageInitShape<typeof ChangesResponseSchema>>

/** The methods of `files.v1.Files`. */
export function filesRpc(service: FilesService, changes: Changes): ServiceTable {
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
      changes: withList('changes', changes),
    },
    { logger: 'filesystem' },
  )
}
