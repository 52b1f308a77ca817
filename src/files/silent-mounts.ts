import { isUtf8 } from 'node:buffer'
import { constants } from 'node:fs'
import { errnoOf } from '../errors.ts'
import { parseMountinfo } from '../lib/mountinfo.ts'
import { closeFile, mountAnswers, openPath, readInto } from '../native/file-calls.ts'

/** Of the list of mounts, some 2,000; it is taken apart in less than 5 ms. Those behind it are not asked. */
const MAX_BYTES = 256 * 1024

/**
 * The mount points below a directory whose filesystems do not answer, as paths below it that are UTF-8. Each may take
 * some seconds (`mountAnswers`). Rejects with the signal's reason or the system error.
 * @param directory absolute, without links.
 */
export async function silentMounts(directory: string, signal: AbortSignal): Promise<string[]> {
  const prefix = Buffer.from(directory === '/' ? '/' : `${directory}/`).toString('latin1')
  const points = new Set(parseMountinfo(await readMounts()).map(({ point }) => point))
  const silent: string[] = []
  // Those above others first: nothing below a silent one can be asked for.
  for (const point of [...points].sort()) {
    const isHidden = silent.some((above) => point.startsWith(`${above}/`))
    if (isHidden || !point.startsWith(prefix) || point === prefix) continue
    signal.throwIfAborted()
    if (!(await mountAnswers(Buffer.from(point, 'latin1')).catch(() => true))) silent.push(point)
  }
  return silent
    .map((point) => Buffer.from(point.slice(prefix.length), 'latin1'))
    .filter((path) => isUtf8(path))
    .map((path) => path.toString())
}

/** One character per byte. Empty without /proc: no mount can be asked then. */
async function readMounts(): Promise<string> {
  const fd = await openPath(Buffer.from('/proc/self/mountinfo'), constants.O_RDONLY).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (fd === undefined) return ''
  try {
    const buffer = Buffer.alloc(MAX_BYTES)
    let filled = 0
    while (filled < MAX_BYTES) {
      const bytes = await readInto(fd, buffer.subarray(filled), null)
      if (bytes === 0) break
      filled += bytes
    }
    return buffer.toString('latin1', 0, filled)
  } finally {
    await closeFile(fd)
  }
}
