import { createReadStream } from 'node:fs'
import { open, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { filesPath } from './client.ts'
import { higher, lower, type Measure, quantile, secondsOf } from './measure.ts'
import { growthDuring, type Target } from './target.ts'

const MIB = 1024 * 1024
const SIZE = 512 * MIB
const OCTETS = { 'content-type': 'application/octet-stream' }
const ROUNDS = 3

/** A file of that size without a block on the disk. */
async function sparse(path: string, size: number): Promise<void> {
  await using file = await open(path, 'w')
  await file.truncate(size)
}

async function upload({ client }: Target, from: string, to: string): Promise<void> {
  const { size } = await stat(from)
  const body = createReadStream(from, { highWaterMark: MIB })
  await client.send({ method: 'POST', path: filesPath(to), headers: { ...OCTETS, 'content-length': size }, body })
  const written = (await stat(to)).size
  if (written !== size) throw new Error(`${written} of ${size} bytes were written`)
}

async function download({ client }: Target, path: string): Promise<void> {
  const { size } = await stat(path)
  const answer = await client.send({ method: 'GET', path: filesPath(path), onData: () => {} })
  if (answer.size !== size) throw new Error(`${answer.size} of ${size} bytes came`)
}

/** MB/s, the median of some rounds. */
async function rate(size: number, run: () => Promise<void>): Promise<number> {
  const rates: number[] = []
  for (let i = 0; i < ROUNDS; i++) rates.push(size / 1e6 / (await secondsOf(run)))
  return quantile(rates, 0.5)
}

export const uploads: Measure = {
  name: 'upload',
  async run(target) {
    const [from, to] = [join(target.dir, 'source'), join(target.dir, 'uploaded')]
    await sparse(from, SIZE)
    const value = await rate(SIZE, () => upload(target, from, to))
    await rm(to)
    return [higher('upload 512 MiB octet-stream, MB/s', value, 546)]
  },
}

export const downloads: Measure = {
  name: 'download',
  async run(target) {
    const path = join(target.dir, 'source')
    await sparse(path, SIZE)
    return [higher('download 512 MiB, MB/s', await rate(SIZE, () => download(target, path)), 966)]
  },
}

const SMALL_FILES = 2000
const SMALL_LANES = 8

export const smallUploads: Measure = {
  name: 'small-uploads',
  async run({ client, dir }) {
    const body = Buffer.alloc(1024, 'x')
    let next = 0
    const lane = async () => {
      while (next < SMALL_FILES)
        await client.send({ method: 'POST', path: filesPath(join(dir, 'small', `f${next++}`)), headers: OCTETS, body })
    }
    const seconds = await secondsOf(() => Promise.all(Array.from({ length: SMALL_LANES }, lane)))
    return [higher('small uploads (1 KiB) per second, 8 at a time', SMALL_FILES / seconds, 4265)]
  },
}

const BIG_SIZE = 10 * 1024 * MIB

/** Memory that a file of 10 GiB costs, up and down: it must not depend on the size. */
export const bigFile: Measure = {
  name: 'big-file',
  async run(target) {
    const { pid, dir } = target
    const names = ['memory growth, 10 GiB down, MB', 'memory growth, 10 GiB up, MB'] as const
    const skip = (note: string) => names.map((name) => lower(name, undefined, undefined, note))
    if (pid === undefined) return skip('only for a daemon that the benchmark starts')
    const { bavail, bsize } = await statfs(dir)
    if (bavail * bsize < 1.2 * BIG_SIZE) return skip(`needs 12 GiB free in ${dir}`)
    const [from, to] = [join(dir, 'big'), join(dir, 'big-uploaded')]
    await sparse(from, BIG_SIZE)
    const down = await growthDuring(pid, () => download(target, from))
    const up = await growthDuring(pid, () => upload(target, from, to))
    await Promise.all([rm(from), rm(to)])
    return [lower(names[0], down), lower(names[1], up)]
  },
}
