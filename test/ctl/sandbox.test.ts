import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { cuttingProxy } from '../process/cutting-proxy.ts'
import { ctl } from './ctl.ts'

test('the token comes from a file or the environment, and without it the daemon refuses', async () => {
  await using dir = await makeTmpDir()
  const file = join(dir.path, 'token')
  writeFileSync(file, 'secret-token\n')
  await using daemon = await startDaemon({ args: ['-access-token-file', file] })
  expect(await ctl(daemon.url, ['run', 'true'])).toMatchObject({ code: 125 })
  expect(await ctl(daemon.url, ['run', 'true'], { env: { ENVD_TOKEN: 'secret-token' } })).toMatchObject({ code: 0 })
  expect(await ctl('', ['run', '--url', daemon.url, '--token-file', file, 'true'])).toMatchObject({ code: 0 })
})

/** Headers of the answer and the start event: before them it is not known what to take up. */
const FIRST_ANSWER_BYTES = 1_500

test('run resumes by itself wherever the connection is cut, without a byte lost or doubled', async () => {
  await using daemon = await startDaemon()
  let cuts = 0
  // Each connection gets a bit further than the start, which alone would be no progress.
  const cutAfter = (connection: number) => (connection < 12 ? FIRST_ANSWER_BYTES + connection * 5_003 : undefined)
  using proxy = await cuttingProxy({ port: daemon.port, cutAfter, onCut: () => cuts++ })
  const { code, stdout, stderr } = await ctl(proxy.url, ['run', 'sh', '-c', 'seq 100000; echo error >&2; exit 7'])
  const expected = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join('')
  expect({ code, stderr }).toEqual({ code: 7, stderr: 'error\n' })
  expect(stdout.toString() === expected).toBe(true)
  expect(cuts).toBeGreaterThan(5)
})

test('a start that was cut off is made again only with a key', async () => {
  await using dir = await makeTmpDir()
  await using daemon = await startDaemon()
  using proxy = await cuttingProxy({ port: daemon.port, cutAfter: () => 1, onCut: () => {} })
  const { code, stderr } = await ctl(proxy.url, ['run', 'true'])
  expect(code).toBe(125)
  expect(stderr).toContain('does not answer')
  let cuts = 0
  const cutAfter = (connection: number) => (connection < 3 ? 1 : undefined)
  using flaky = await cuttingProxy({ port: daemon.port, cutAfter, onCut: () => cuts++ })
  const { stdout } = await ctl(flaky.url, [
    'run',
    '--key',
    'key',
    'sh',
    '-c',
    'echo run >>"$0"; wc -l <"$0"',
    join(dir.path, 'runs'),
  ])
  expect({ cuts, stdout: stdout.toString() }).toEqual({ cuts: 3, stdout: '1\n' })
})
