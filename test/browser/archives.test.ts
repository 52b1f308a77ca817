import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { listing } from '../http/unpacked.ts'
import { browse, needsChromium, startSite } from './browser.ts'

beforeEach(needsChromium)

const TOKEN = 'a-token-of-the-test'

/** As SDKs sign a URL (contract B6), of no user. */
function signed({ port }: Daemon, operation: 'read' | 'write', path: string, more = ''): string {
  const text = `${path}:${operation}::${TOKEN}`
  const signature = `v1_${createHash('sha256').update(text).digest('base64').replaceAll('=', '')}`
  const query = new URLSearchParams({ path, signature })
  return `http://localhost:${port}/files?${query}${more}`
}

/** Fetches an archive and sends it to another place as it came, for each format; and tries what must be refused. */
const script = (copies: readonly unknown[], refused: readonly unknown[]) => `
const outcome = { copies: [], refused: [] }
for (const { from, to } of ${JSON.stringify(copies)}) {
  const down = await fetch(from)
  const type = down.headers.get('content-type')
  const body = await down.arrayBuffer()
  const up = await fetch(to, { method: 'POST', headers: { 'content-type': type }, body })
  outcome.copies.push({ down: down.status, type, trailers: down.trailers ?? 'none', up: up.status, answer: await up.json() })
}
for (const { url, method, type, text } of ${JSON.stringify(refused)}) {
  const answer = await fetch(url, { method, ...(text && { headers: { 'content-type': type }, body: text }) })
  outcome.refused.push([answer.status, typeof (await answer.json()).message])
}
await report(outcome)`

function makeTree(tree: string): void {
  mkdirSync(join(tree, 'a/deep'), { recursive: true })
  writeFileSync(join(tree, 'a/deep/small'), 'small')
  writeFileSync(join(tree, 'a/large'), Buffer.alloc(1_000_003, 'large '))
  symlinkSync('../nowhere', join(tree, 'a/link'))
}

async function startWithToken(): Promise<Daemon> {
  const daemon = await startDaemon()
  const answer = await fetch(`${daemon.url}/init`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ accessToken: TOKEN }),
  })
  expect(answer.status).toBe(204)
  return daemon
}

test('a page fetches signed archives of a directory, and sends them back to signed places', async () => {
  await using dir = await makeTmpDir()
  await using daemon = await startWithToken()
  const tree = join(dir.path, 'tree')
  makeTree(tree)
  linkSync(join(tree, 'a/large'), join(tree, 'twin'))
  execFileSync('mkfifo', [join(tree, 'a/pipe')])
  const formats = ['tar', 'tar.gz', 'tar.zst', 'zip']
  const out = (format: string) => join(dir.path, `out-${format}`)
  const copies = formats.map((format) => ({
    from: signed(daemon, 'read', tree, `&format=${format}`),
    to: signed(daemon, 'write', out(format)),
  }))
  const evil = join(dir.path, 'evil')
  const refused = [
    { url: signed(daemon, 'read', tree, '&format=tar').replace('v1_', 'v1_x'), method: 'GET' },
    { url: signed(daemon, 'read', tree, '&format=rar'), method: 'GET' },
    { url: signed(daemon, 'read', join(tree, 'missing'), '&format=tar'), method: 'GET' },
    { url: signed(daemon, 'read', evil), method: 'POST', type: 'application/x-tar', text: 'x' },
    { url: signed(daemon, 'write', evil), method: 'POST', type: 'application/zip', text: 'no archive' },
    { url: signed(daemon, 'write', evil), method: 'POST', type: 'application/x-tar', text: 'x'.repeat(1024) },
  ]
  await using site = await startSite(() => script(copies, refused))
  const outcome = await browse(`http://app.example:${site.port}`, site.report)
  expect(outcome).toMatchObject({
    copies: ['application/x-tar', 'application/gzip', 'application/zstd', 'application/zip'].map((type) => ({
      down: 200,
      type,
      // Browsers have none: what is left out stands in the log.
      trailers: 'none',
      up: 200,
    })),
    refused: [401, 400, 404, 401, 400, 400].map((status) => [status, 'string']),
  })
  execFileSync('rm', [join(tree, 'a/pipe')])
  for (const format of ['tar', 'tar.gz', 'tar.zst']) expect(listing(out(format))).toBe(listing(tree))
  // A zip archive has each name with content of its own, and times in seconds.
  execFileSync('diff', ['-r', '--no-dereference', tree, out('zip')])
  await daemon.stop()
  expect(daemon.stdout().match(/entries were left out of an archive/g)).toHaveLength(formats.length)
  expect(daemon.stdout()).toContain('a/pipe')
  expect(readdirSync(evil)).toEqual([])
})
