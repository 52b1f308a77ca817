/** What a transfer has moved so far. */
export interface Moved {
  bytes: number
  files: number
}

/** What it will have moved in the end, as far as it is known. */
interface Total {
  readonly bytes: number
  readonly files: number
}

/** A line that shows how far a transfer is, on a terminal. */
export interface Progress {
  readonly moved: Moved
  /** From now on the time left is shown. */
  expect(total: Total): void
  /** Takes the line away. Idempotent. */
  end(): void
}

const EVERY_MS = 200
const CLEAR = '\r\x1b[K'

/** Shows how far a transfer is on standard error, if that is a terminal. The caller ends it. */
export function showProgress(what: string): Progress {
  const moved: Moved = { bytes: 0, files: 0 }
  if (!process.stderr.isTTY) return { moved, expect: () => {}, end: () => {} }
  const started = performance.now()
  let total: Total | undefined
  const timer = setInterval(() => {
    const line = lineOf(what, moved, total, (performance.now() - started) / 1000)
    process.stderr.write(CLEAR + line.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1)))
  }, EVERY_MS)
  return {
    moved,
    expect: (whole) => {
      total = whole
    },
    end: () => {
      if (timer.hasRef()) process.stderr.write(CLEAR)
      clearInterval(timer.unref())
    },
  }
}

/** Bytes, files, speed and, if the total is known, a bar and the time left. @param seconds since the beginning */
export function lineOf(what: string, { bytes, files }: Moved, total: Total | undefined, seconds: number): string {
  const speed = `${sizeOf(bytes / Math.max(seconds, 0.001))}/s`
  if (total === undefined) return `${sizeOf(bytes)}, ${files} files, ${speed}  ${what}`
  const part = total.bytes === 0 ? 1 : Math.min(1, bytes / total.bytes)
  const bar = '#'.repeat(Math.round(part * BAR)).padEnd(BAR, '.')
  const left = part > 0 ? `, ${timeOf((seconds * (1 - part)) / part)} left` : ''
  return `[${bar}] ${sizeOf(bytes)} of ${sizeOf(total.bytes)}, ${files} of ${total.files} files, ${speed}${left}  ${what}`
}

const BAR = 10
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

function sizeOf(bytes: number): string {
  const unit = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** unit
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

function timeOf(seconds: number): string {
  const whole = Math.ceil(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}
