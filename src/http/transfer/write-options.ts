import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../../errors.ts'
import type { UploadTarget, WriteMode } from '../../filesystem/upload.ts'
import { PERMISSIONS } from '../../filesystem/write-condition.ts'
import { preconditionOf } from './conditions.ts'
import type { FileQuery } from './file-query.ts'

const MODES: ReadonlySet<string> = new Set<WriteMode>(['overwrite', 'append', 'atomic', 'create'])

/** Who writes, which decides about permissions. */
interface Writer {
  readonly headers: IncomingHttpHeaders
  /** Was let in by its signature alone, which covers neither `mode` nor `chmod`. */
  readonly signed: boolean
  readonly isRoot: boolean
}

/**
 * How an upload is to be written. Throws AppError invalid_argument for a mode that there is not, for a chmod that is
 * not octal, and for conditions that are none; permission_denied for bits that let a program run as another user by
 * callers other than root, and where a signature stands for less.
 */
export function writeOptionsOf(
  { mode, chmod }: FileQuery,
  { headers, signed, isRoot }: Writer,
): Pick<UploadTarget, 'mode' | 'chmod' | 'condition'> {
  const condition = preconditionOf(headers)
  if (!isMode(mode)) throw new AppError('invalid_argument', `mode must be one of ${[...MODES].join(', ')}`)
  if (chmod === undefined) return { mode, condition }
  if (!/^0?[0-7]{3,4}$/.test(chmod))
    throw new AppError('invalid_argument', 'chmod must be an octal number such as 0644')
  const bits = Number.parseInt(chmod, 8)
  if ((bits & ~PERMISSIONS) !== 0 && (!isRoot || signed))
    throw new AppError('permission_denied', 'chmod may set the bits above 0777 for root with the token only')
  // Who may append to a file must not make what is in it readable.
  if (signed && mode === 'append')
    throw new AppError('permission_denied', 'chmod does not go with mode=append for a signature')
  return { mode, condition, chmod: bits }
}

function isMode(mode: string | undefined): mode is WriteMode | undefined {
  return mode === undefined || MODES.has(mode)
}
