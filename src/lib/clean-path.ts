import { posix } from 'node:path'

/**
 * The shortest path that means the same lexically: no `//`, `.` or `x/..`, no trailing slash (Go's filepath.Clean).
 * The empty path becomes `.`.
 */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path)
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal
}

/**
 * The last element of a path, trailing slashes aside (Go's filepath.Base): `/` for the root, `.` for the empty path.
 */
export function baseName(path: string): string {
  if (path === '') return '.'
  return posix.basename(path) || '/'
}
