import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Client, filesPath } from './client.ts'
import { latencyOf, latencyRows, lower, type Measure, secondsOf } from './measure.ts'

const OCTETS = { 'content-type': 'application/octet-stream' }
const KIB = Buffer.alloc(1024, 'x')
const PARTS = 1000
/** A disk's own time hides the daemon's. */
const MEMORY = '/dev/shm'

async function inMemory<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(MEMORY, 'envd-bench-'))
  try {
    return await work(dir)
  } finally {
    await rm(dir, { recursive: true })
  }
}

const upload = (client: Client, path: string) =>
  client.send({ method: 'POST', path: filesPath(path), headers: OCTETS, body: KIB })

/** One file of 1 KiB after the other, up and down. */
export const smallFiles: Measure = {
  name: 'small-files',
  run: ({ client }) =>
    inMemory(async (dir) => {
      const path = (index: number) => join(dir, `f${index % 100}`)
      const up = await latencyOf((index) => upload(client, path(index)), { count: 2000, warm: 500 })
      const download = (index: number) => client.send({ method: 'GET', path: filesPath(path(index)) })
      const down = await latencyOf(download, { count: 2000, warm: 500 })
      return [...latencyRows('upload of 1 KiB', up), ...latencyRows('download of 1 KiB', down)]
    }),
}

/** Many small files in one form, as `files.write([…])` of the SDKs sends them. */
export const multipart: Measure = {
  name: 'multipart',
  run: ({ client }) =>
    inMemory(async (dir) => {
      const boundary = 'of-the-benchmark'
      const parts = Array.from(
        { length: PARTS },
        (_, i) =>
          `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${join(dir, `p${i}`)}"\r\n\r\n0123456789\r\n`,
      )
      const headers = { 'content-type': `multipart/form-data; boundary=${boundary}` }
      const body = `${parts.join('')}--${boundary}--\r\n`
      const send = () => client.send({ method: 'POST', path: '/files', headers, body })
      await send()
      return [lower(`form with ${PARTS} files, ms`, (await secondsOf(send)) * 1000, 70)]
    }),
}

/** Joining many small files. */
export const compose: Measure = {
  name: 'compose',
  run: ({ client }) =>
    inMemory(async (dir) => {
      const sources = Array.from({ length: PARTS }, (_, i) => join(dir, `s${i}`))
      const join1000 = async () => {
        for (const path of sources) await upload(client, path)
        const body = JSON.stringify({ source_paths: sources, destination: join(dir, 'joined') })
        const headers = { 'content-type': 'application/json' }
        return secondsOf(() => client.send({ method: 'POST', path: '/files/compose', headers, body }))
      }
      await join1000()
      return [lower(`compose of ${PARTS} files, ms`, (await join1000()) * 1000, 48)]
    }),
}
