import { MAX_DEPTH, MAX_PATH_BYTES } from './limits.ts'
import { badArchive } from './tar-fields.ts'

const SLASH = 0x2f
const DOT = 0x2e

/**
 * The path of an entry below the directory, without empty and `.` components and without the first `strip` ones. No
 * bytes: the directory itself; undefined: nothing is left of it. Throws AppError for one that is absolute, leads up, or
 * is too long.
 */
export function entryPath(written: Buffer, strip: number): Buffer | undefined {
  if (written.length === 0) throw badArchive('an entry has no name')
  if (written[0] === SLASH) throw badArchive(`entry '${written}' has an absolute name`)
  if (written.includes(0)) throw badArchive('an entry has a name with a zero byte')
  if (strip === 0 && written.length <= MAX_PLAIN_BYTES && isPlain(written)) return written
  const all = written.toString('latin1').split('/')
  const components = all.filter((component) => component !== '' && component !== '.')
  if (components.includes('..')) throw badArchive(`entry '${written}' leads up by '..'`)
  if (components.length > MAX_DEPTH) throw badArchive(`an entry is more than ${MAX_DEPTH} directories deep`)
  if (strip > 0 && components.length <= strip) return undefined
  const path = Buffer.from(components.slice(strip).join('/'), 'latin1')
  if (path.length > MAX_PATH_BYTES) throw badArchive(`an entry has a name of more than ${MAX_PATH_BYTES} bytes`)
  return path
}

/** Of names that are looked at by bytes: less than `MAX_DEPTH` components. */
const MAX_PLAIN_BYTES = 512

/** Whether no component of a name is empty or begins with a dot, as of nearly all: their path is the name as it is. */
function isPlain(written: Buffer): boolean {
  let before = SLASH
  for (const byte of written) {
    if (before === SLASH && (byte === SLASH || byte === DOT)) return false
    before = byte
  }
  return before !== SLASH
}
