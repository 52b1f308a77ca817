import { isUtf8 } from 'node:buffer'
import { constants } from 'node:fs'
import { errnoOf } from '../errors.ts'
import { parseMountinfo } from '../lib/mountinfo.ts'
import { closeFile, mountAnswers, openPath, readInto } from '../native/file-calls.ts'

/** Of the list of mounts that are looked at: some 100,000, as many as there may be (`fs.mount-max`). */
const MAX_BYTES = 16 * 1024 * 1024

/** Of them what is read at a time, some 500; it is taken apart in about a millisecond. */
const PIECE_BYTES = 64 * 1024

/** Bytes of the points that are asked; those behind them are not. A search is told each that is silent. */
const MAX_POINT_BYTES = 256 * 1024

/**
 * The mount points below a directory whose filesystems do not answer, as paths below it that are UTF-8. Each may take
 * some seconds (`mountAnswers`). Rejects with the signal's reason or the system error.
 * @param directory absolute, without links.
 */
export async function silentMounts(directory: string, signal: AbortSignal): Promise<string[]> {
  const prefix = Buffer.from(directory === '/' ? '/' : `${directory}/`).toString('latin1')
  const points = await pointsBelow(prefix, signal)
  const silent: string[] = []
  // Those above others first: nothing below a silent one can be asked for.
  for (const point of [...points].sort()) {
    if (silent.some((above) => point.startsWith(`${above}/`))) continue
    signal.throwIfAborted()
    if (!(await mountAnswers(Buffer.from(point, 'latin1')).catch(() => true))) silent.push(point)
  }
  return silent
    .map((point) => Buffer.from(point.slice(prefix.length), 'latin1'))
    .filter((path) => isUtf8(path))
    .map((path) => path.toString())
}

/** The mount points below a directory. */
async function pointsBelow(prefix: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const points = new Set<string>()
  let bytes = 0
  for await (const lines of mountLines()) {
    signal.throwIfAborted()
    for (const { point } of parseMountinfo(lines)) {
      if (!point.startsWith(prefix) || point === prefix || points.has(point)) continue
      bytes += point.length
      if (bytes > MAX_POINT_BYTES) return points
      points.add(point)
    }
  }
  return points
}

/** Whole lines, some at a time, one character per byte. None without /proc: no mount can be asked then. */
async function* mountLines(): AsyncGenerator<string, void> {
  const fd = await openPath(Buffer.from('/proc/self/mountinfo'), constants.O_RDONLY).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (fd === undefined) return
  try {
    const buffer = Buffer.alloc(PIECE_BYTES)
    let begun = ''
    for (let left = MAX_BYTES; left > 0; ) {
      const bytes = await readInto(fd, buffer, null)
      if (bytes === 0) break
      left -= bytes
      const text = begun + buffer.toString('latin1', 0, bytes)
      const end = text.lastIndexOf('\n') + 1
      begun = text.slice(end)
      yield text.slice(0, end)
    }
  } finally {
    await closeFile(fd)
  }
}
