import { once } from 'node:events'
import { mkdir, truncate, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { streamCall, unread } from './unread.ts'

const MIB = 2 ** 20

async function bigFile({ directory }: Field): Promise<void> {
  await writeFile(`${directory}/big`, '')
  await truncate(`${directory}/big`, 64 * MIB)
}

const download = (path: string, headers = '') =>
  `GET /files?path=${encodeURIComponent(path)} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`

export const readers: readonly Attack[] = [
  {
    name: 'downloads over HTTP/1.1 that are not read',
    prepare: bigFile,
    run: (field) => allOf(scaled(1000, field), 50, () => unread(field, download(`${field.directory}/big`))),
  },
  {
    name: 'compressed downloads that are not read',
    prepare: bigFile,
    run: (field) =>
      allOf(scaled(250, field), 50, () =>
        unread(field, download(`${field.directory}/big`, 'Accept-Encoding: gzip\r\n')),
      ),
  },
  {
    name: 'downloads over HTTP/2 with a window of 0',
    prepare: bigFile,
    run: async (field) => {
      for (let left = scaled(20, field); left > 0; left--) {
        const session = connectHttp2(field.daemon.url, { settings: { initialWindowSize: 0 } })
        session.on('error', () => {})
        field.held.defer(() => session.destroy())
        await once(session, 'remoteSettings')
        for (let stream = 0; stream < 900; stream++) {
          const path = `/files?path=${encodeURIComponent(`${field.directory}/big`)}`
          const request = session.request({ ':path': path })
          request.on('error', () => {})
          request.end()
        }
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
  },
  {
    name: 'listings of 200,000 entries',
    prepare: async (field) => {
      const count = scaled(200_000, field)
      await mkdir(`${field.directory}/many`)
      await allOf(count, 64, (index) => writeFile(`${field.directory}/many/entry-with-a-name-${index}`, ''))
    },
    run: (field) =>
      allOf(8, 8, async () => {
        const body = JSON.stringify({ path: `${field.directory}/many` })
        const head = `POST /filesystem.Filesystem/ListDir HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`
        await unread(field, `${head}Content-Length: ${body.length}\r\n\r\n${body}`)
      }),
  },
  {
    name: 'recursive watches that are not read',
    prepare: (field) => manyDirectories(field),
    run: async (field) => {
      const watch = streamCall('filesystem.Filesystem/WatchDir', { path: field.directory, recursive: true })
      await allOf(scaled(1500, field), 30, () => unread(field, watch))
      for (let i = 0; i < 2000; i++) await writeFile(`${field.directory}/d1/noise`, String(i))
    },
  },
]

/** 76 directories of 10 in each at the whole scale. */
async function manyDirectories(field: Field): Promise<void> {
  await allOf(scaled(760, field) + 2, 32, (index) => mkdir(`${field.directory}/d${index}/a/b`, { recursive: true }))
}
