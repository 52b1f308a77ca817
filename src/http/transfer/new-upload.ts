import type { IncomingMessage } from 'node:http'
import { AppError } from '../../errors.ts'
import type { FileUsers } from '../../filesystem/file-user.ts'
import { isDirectory } from '../../filesystem/open-anew.ts'
import { cleanPath } from '../../lib/clean-path.ts'
import type { NewUpload } from '../../uploads/uploads.ts'
import type { Defaults } from '../../users/defaults.ts'
import type { Users } from '../../users/users.ts'
import type { FileQuery } from './file-query.ts'
import { fileUserName, findFileUser, resolveFilePath } from './file-user.ts'
import { metadataOf } from './metadata-headers.ts'
import { plainName } from './plain-name.ts'
import { metadataValue, uploadMetadataOf } from './tus-headers.ts'
import { writeOptionsOf } from './write-options.ts'

/** What a request that makes an upload is read with. */
interface Context {
  readonly users: Users
  readonly fileUser: FileUsers
  readonly defaults: Pick<Defaults, 'user' | 'workdir'>
  readonly query: FileQuery
  /** Was let in by its signature alone. */
  readonly signed: boolean
  /** Bytes in all. */
  readonly length: number
  /** Is to be joined with others, to a file that another request names. */
  readonly partial: boolean
}

const CONDITIONS = ['if-match', 'if-none-match', 'if-unmodified-since']

/** Reads what an upload is to become, as `POST /files` does. Rejects with AppError. */
export async function newUploadOf(request: IncomingMessage, context: Context): Promise<NewUpload> {
  const { users, fileUser, defaults, query, signed, length, partial } = context
  const { headers } = request
  const owner = await fileUser(await findFileUser(users, fileUserName(query.username, defaults.user)))
  const { mode = 'atomic', chmod } = writeOptionsOf(query, { headers, signed, isRoot: owner.uid === 0 })
  if (mode === 'append') throw new AppError('invalid_argument', 'mode=append does not go with resumable uploads')
  const uploadMetadata = uploadMetadataOf(headers)
  const resolve = (path: string) =>
    resolveFilePath(path, { user: owner, workdir: defaults.workdir, what: 'error resolving path' })
  const name = query.path || (partial ? './part' : nameOf(uploadMetadata, { query, signed }))
  const path = resolve(name)
  if (path.endsWith('/')) throw isDirectory(path)
  const conditions = CONDITIONS.flatMap((header) => (headers[header] === undefined ? [] : [[header, headers[header]]]))
  return {
    asked: { path: query.path ?? '', username: query.username ?? '' },
    path: cleanPath(path),
    user: owner.name,
    confined: signed && !query.path,
    ...{ mode, chmod, uploadMetadata, length },
    conditions: partial ? {} : Object.fromEntries(conditions),
    metadata: Object.fromEntries(metadataOf(request.rawHeaders)),
    concat: partial ? 'partial' : undefined,
  }
}

/** Of a file whose query says no path: as parts of a form name theirs. Throws AppError. */
function nameOf(uploadMetadata: string | undefined, { query, signed }: Pick<Context, 'query' | 'signed'>): string {
  const name = query.path === undefined || signed ? metadataValue(uploadMetadata, 'filename') : ''
  if (name === undefined)
    throw new AppError('invalid_argument', 'path query parameter, or filename in upload-metadata, is required')
  return signed ? plainName(name) : name
}
