import { AppError } from '../../errors.ts'

/**
 * A signature of no path is for any file of the user's, but for no more: the name may not lead out of the home
 * directory, and nor may links (contract B11). Throws AppError for another name.
 */
export function plainName(filename: string): string {
  const leaves = /^[/~]/.test(filename) || filename.split('/').includes('..')
  if (!leaves && filename !== '' && !filename.includes('\0')) return filename
  throw new AppError(
    'invalid_argument',
    `file name '${filename}' of a signed upload without a path must be a name below the home directory`,
  )
}
