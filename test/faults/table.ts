import { execFile } from 'node:child_process'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { truncate, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** The layout of `fixtures/faults.h`. */
const MATCH_AT = 32
const MATCH_BYTES = 240
const COUNTS_AT = MATCH_AT + MATCH_BYTES
const NAME_BYTES = 32
const MAX_POINTS = 192
const NAMES_AT = COUNTS_AT + 4 * MAX_POINTS
const BYTES = NAMES_AT + NAME_BYTES * MAX_POINTS
const FIELD = { mode: 0, point: 4, skip: 8, times: 12, error: 16, failed: 20, points: 24 } as const
const MODE = { off: 0, count: 1, fail: 2 } as const

/** A call that is made to fail. */
export interface Fault {
  /** The function of the C library, or `syscall NAME`. */
  readonly call: string
  /** Calls of it that pass before. */
  readonly skip: number
  readonly errno: string
  /** All from then on fail, as on a full disk; else one. */
  readonly lasting: boolean
}

/** Decides which calls of the daemon fail; one at a time. */
export interface FaultTable extends Disposable {
  /** What the daemon's process needs in its environment. */
  readonly env: Readonly<Record<string, string>>
  /** The names of all points; the daemon must have started. */
  points(): readonly string[]
  /** Begins to count calls about what contains `match`. */
  count(match: string): void
  /** Ends it; the calls that were made, by their names. */
  counted(): ReadonlyMap<string, number>
  arm(match: string, fault: Fault): void
  /** Ends it; how many calls failed. */
  disarm(): number
}

/** Compiles the library and makes a table in the directory, which outlives it. */
export async function makeFaultTable(dir: string): Promise<FaultTable> {
  const library = join(dir, 'faults.so')
  const sources = ['faults', 'wrapped-files', 'wrapped-others'].map((name) =>
    join(import.meta.dirname, 'fixtures', `${name}.c`),
  )
  // As for the addon: the compiler must not take calls of a wrapper for calls of the function that it knows.
  const flags = ['-std=gnu11', '-O1', '-fno-builtin', '-shared', '-fPIC']
  await promisify(execFile)(process.env['CC'] ?? 'cc', [...flags, '-o', library, ...sources])
  const file = join(dir, 'faults')
  await writeFile(file, '')
  await truncate(file, BYTES)
  return openTable(file, { LD_PRELOAD: library, FAULT_TABLE: file })
}

function openTable(file: string, env: FaultTable['env']): FaultTable {
  const descriptor = openSync(file, 'r+')
  const write = (at: number, value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32LE(value)
    writeSync(descriptor, bytes, 0, 4, at)
  }
  const read = (at: number, length: number) => {
    const bytes = Buffer.alloc(length)
    readSync(descriptor, bytes, 0, length, at)
    return bytes
  }
  const setMatch = (match: string) => {
    const bytes = Buffer.alloc(MATCH_BYTES)
    if (bytes.write(match) >= MATCH_BYTES) throw new Error(`too long: ${match}`)
    writeSync(descriptor, bytes, 0, MATCH_BYTES, MATCH_AT)
  }
  const points = () => {
    const names = read(NAMES_AT, NAME_BYTES * read(FIELD.points, 4).readInt32LE())
    return Array.from({ length: names.length / NAME_BYTES }, (_, at) =>
      names
        .subarray(at * NAME_BYTES, (at + 1) * NAME_BYTES)
        .toString()
        .replace(/\0.*$/s, ''),
    )
  }
  return {
    env,
    points,
    count(match) {
      setMatch(match)
      writeSync(descriptor, Buffer.alloc(4 * MAX_POINTS), 0, 4 * MAX_POINTS, COUNTS_AT)
      write(FIELD.mode, MODE.count)
    },
    counted() {
      write(FIELD.mode, MODE.off)
      const counts = read(COUNTS_AT, 4 * MAX_POINTS)
      const all = points().map((name, at) => [name, counts.readInt32LE(4 * at)] as const)
      return new Map(all.filter(([, count]) => count > 0))
    },
    arm(match, { call, skip, errno, lasting }) {
      const point = points().indexOf(call)
      if (point < 0) throw new Error(`there is no point ${call}`)
      setMatch(match)
      write(FIELD.point, point)
      write(FIELD.skip, skip)
      write(FIELD.times, lasting ? -1 : 1)
      write(FIELD.error, constants.errno[errno as keyof typeof constants.errno])
      write(FIELD.failed, 0)
      write(FIELD.mode, MODE.fail)
    },
    disarm() {
      write(FIELD.mode, MODE.off)
      return read(FIELD.failed, 4).readInt32LE()
    },
    [Symbol.dispose]: () => closeSync(descriptor),
  }
}
