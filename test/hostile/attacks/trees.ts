import { mkdir, writeFile } from 'node:fs/promises'
import { call, shell } from '../../_util/rpc.ts'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { streamCall, unaryCall, unread } from './unread.ts'

/** A tree of 40,000 files in 2,000 directories, at the whole scale. */
async function hugeTree(field: Field): Promise<void> {
  const directories = scaled(2000, field)
  await allOf(directories, 32, async (index) => {
    const path = `${field.directory}/t${index % 50}/u${index}`
    await mkdir(path, { recursive: true })
    await allOf(20, 4, (file) => writeFile(`${path}/file-${file}.txt`, `${'a'.repeat(500)}b\n`))
  })
}

/** Patterns that a backtracking engine takes for ever for, or that make a large automaton. */
const PATTERNS = [
  '(a+)+$',
  '(a|a)*c',
  '(a*)*(a*)*(a*)*c',
  '(?:a?){30}a{30}',
  '(\\w+\\s?)*$',
  '(a{1,100}){1,100}',
  '(?i)(é|ß|ſ|K){1,200}',
  '.*.*.*=.*',
  '[\\p{L}\\p{N}]{1,400}x',
] as const

function unreadCalls(name: string, count: number, request: (field: Field, index: number) => Buffer): Attack {
  return {
    name,
    prepare: hugeTree,
    run: (field) => allOf(scaled(count, field), 30, (index) => unread(field, request(field, index))),
  }
}

const SERVICE = 'files.v1.Files'

export const treeAttacks: readonly Attack[] = [
  unreadCalls('searches whose patterns are hard', 400, ({ directory }, index) => {
    const pattern = PATTERNS[index % PATTERNS.length]
    return streamCall(`${SERVICE}/Grep`, { path: directory, pattern, multiline: index % 2 === 0, before: 100 })
  }),
  unreadCalls('searches for files with hundreds of patterns', 500, ({ directory }) => {
    const globs = Array.from({ length: 250 }, (_, index) => `**/*a*b*c*${index}*{x,y,z}**`)
    return streamCall(`${SERVICE}/Find`, { path: directory, scope: { globs, hidden: true } })
  }),
  unreadCalls('lists of found files that nobody reads', 500, ({ directory }) =>
    streamCall(`${SERVICE}/Find`, { path: directory }),
  ),
  unreadCalls('sizes of a huge tree that nobody reads', 1000, ({ directory }) =>
    streamCall(`${SERVICE}/DiskUsage`, { path: directory, depth: 100 }),
  ),
  unreadCalls('checksums of a huge tree that nobody reads', 500, ({ directory }) =>
    streamCall(`${SERVICE}/Checksum`, { path: directory }),
  ),
  unreadCalls('archives of a huge tree that nobody reads', 500, ({ directory }, index) => {
    const format = ['tar', 'tar.gz', 'tar.zst', 'zip'][index % 4]
    const path = encodeURIComponent(directory)
    return Buffer.from(`GET /files?path=${path}&format=${format}&gitignore=1 HTTP/1.1\r\nHost: x\r\n\r\n`)
  }),
  unreadCalls('compressed lists of a huge tree that nobody reads', 2000, ({ directory }, index) => {
    const call = unaryCall('filesystem.Filesystem/ListDir', { path: directory, depth: 3 })
    return Buffer.concat([
      call.subarray(0, call.indexOf('\r\n') + 2),
      Buffer.from(`Accept-Encoding: ${index % 2 === 0 ? 'gzip' : 'zstd'}\r\n`),
      call.subarray(call.indexOf('\r\n') + 2),
    ])
  }),
  {
    name: 'questions for changes that wait',
    prepare: hugeTree,
    run: async (field) => {
      const message = { path: field.directory, recursive: true }
      const tokens: string[] = []
      await allOf(100, 4, async () => {
        const { body } = await call(field.daemon.url, `${SERVICE}/Changes`, message)
        const { token } = body as { token?: string }
        if (token !== undefined) tokens.push(token)
      })
      const waiting = (index: number) => ({ ...message, token: tokens[index % tokens.length], waitMs: 60_000 })
      await allOf(scaled(2000, field), 30, (index) =>
        unread(field, unaryCall(`${SERVICE}/Changes`, { ...waiting(index), includeEntry: true })),
      )
      await shell(field.daemon.url, `find ${field.directory} -type f -exec touch {} +`)
    },
  },
]
