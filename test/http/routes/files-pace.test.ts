import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'
import { unnamedBelow } from '../open-below.ts'

test('an upload without a byte for too long is 408', async () => {
  await using files = await startFilesFront({ stallMs: 300 })
  const beginnings = [
    ['application/octet-stream', '12'],
    ['application/octet-stream', ''],
    ['application/octet-stream\r\nContent-Encoding: gzip', gzipSync('hello').subarray(0, 12)],
    ['application/octet-stream\r\nContent-Encoding: gzip', Buffer.from([0x1f])],
    ['multipart/form-data; boundary=x', ''],
    ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n12'],
  ] as const
  for (const [type, beginning] of beginnings) {
    using client = await connectRaw(files.front.port)
    client.write(head(join(files.dir, 'f'), 'content-length: 1000', type))
    client.write(beginning)
    await expect.poll(() => client.received()).toMatch(/^HTTP\/1\.1 408 .*no data for 0.3 s/s)
  }
})

test('an upload that is slow goes on, however long it takes in all', async () => {
  await using files = await startFilesFront({ stallMs: 1_500 })
  using slow = await connectRaw(files.front.port)
  slow.write(head(join(files.dir, 'g'), 'content-length: 6'))
  for (const letter of 'slowl') {
    slow.write(letter)
    await expect.poll(() => unnamedBelow(files.dir)).toEqual([expect.stringMatching(`${letter}$`)])
    await new Promise((resolve) => setTimeout(resolve, 400))
  }
  // With the last letter the file gets its name at once.
  slow.write('y')
  await expect.poll(() => slow.received()).toContain('200 OK')
  expect(readFileSync(join(files.dir, 'g'), 'utf8')).toBe('slowly')
})

test('an upload to a client that sends faster than the disk takes costs no memory', async () => {
  await using files = await startFilesFront()
  const before = process.memoryUsage().arrayBuffers
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
  }, 5)
  const path = join(files.dir, 'f')
  execFileSync('sh', ['-c', `head -c 200000000 /dev/urandom > ${path}.source`])
  const url = `${files.front.url}/files?path=${path}`
  const curl = spawn('curl', [
    '-s',
    '-H',
    'content-type: application/octet-stream',
    '-T',
    `${path}.source`,
    '-X',
    'POST',
    url,
  ])
  const [code] = await new Promise<[number]>((resolve) => curl.on('close', (status) => resolve([status ?? 1])))
  clearInterval(timer)
  expect(code).toBe(0)
  execFileSync('cmp', [path, `${path}.source`])
  expect(peak).toBeLessThan(20 * 1024 * 1024)
})

function head(path: string, framing: string, type = 'application/octet-stream'): string {
  const target = `/files?path=${encodeURIComponent(path)}`
  return `POST ${target} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\n${framing}\r\n\r\n`
}
