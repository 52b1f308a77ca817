import { AppError } from '../errors.ts'
import { errnoText } from '../lib/errno-text.ts'

/** What clients are told when directories cannot be watched, by the name of the errno. `path`: as the client named it. */
export function armError(errno: string, path: string): AppError {
  switch (errno) {
    case 'ENOSPC':
      return exhausted(
        `error watching ${path}: the limit of watched directories is reached (sysctl fs.inotify.max_user_watches)`,
      )
    case 'EMFILE':
    case 'ENFILE':
      return exhausted(
        `error watching ${path}: the limit of open files or of inotify instances is reached (sysctl fs.inotify.max_user_instances)`,
      )
    case 'EOVERFLOW':
      return exhausted(`error watching ${path}: there are too many files below it`)
    case 'ENOENT':
      return new AppError('not_found', `the watched directory ${path} does not exist any more`)
    case 'ESTALE':
      return new AppError('not_found', `the watched directory ${path} was moved, and another has taken its place`)
    default:
      return new AppError('internal', `error watching ${path}: ${errnoText(errno)}`)
  }
}

function exhausted(message: string): AppError {
  return new AppError('resource_exhausted', message)
}
