import { AppError, CLOSED, errnoKind } from '../errors.ts'
import { errnoText } from '../lib/errno-text.ts'
import { IN } from './inotify-event.ts'

/**
 * The error that clients receive when directories cannot be watched, by the name of the errno. `path`: as the client
 * named it.
 */
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
    case 'ECANCELED':
      return CLOSED
    case 'ENOENT':
      return new AppError('not_found', `the watched directory ${path} does not exist any more`)
    case 'ESTALE':
      return new AppError('not_found', `the watched directory ${path} was moved, and another has taken its place`)
    default:
      return new AppError(errnoKind(errno), `error watching ${path}: ${errnoText(errno)}`)
  }
}

/**
 * Why a watched directory emits nothing more after an event of its own; undefined: it goes on. `path`: as the client
 * named it.
 */
export function goneError(mask: number, path: string): AppError | undefined {
  if ((mask & (IN.DELETE_SELF | IN.MOVE_SELF | IN.UNMOUNT | IN.IGNORED)) === 0) return undefined
  const what = (mask & IN.MOVE_SELF) !== 0 ? 'moved' : (mask & IN.UNMOUNT) !== 0 ? 'unmounted' : 'removed'
  return new AppError('not_found', `the watched directory ${path} was ${what}`)
}

function exhausted(message: string): AppError {
  return new AppError('resource_exhausted', message)
}
