import { readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call, open, pidOf, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { startPuppet } from '../ports/puppet.ts'
import { received } from '../ports/sockets.ts'
import { closeStdin, list, sendInput } from '../process/calls.ts'
import { crash, startKept, upgrade } from './crash.ts'

/** Cells of the table in docs/survival.md that have no test elsewhere. */

/** Any address of 127.0.0.0/8 serves; this one is used by no other test. */
const HERE = '127.0.21.16'

/** Bytes that a pipe holds (pipe(7)). */
const PIPE = 65_536

/** `MAX_FINISHED`. */
const MAX_KEPT = 256

const runs = async (pid: number) => /\) [^ZX] /.test(await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => ''))

test('a forwarded port is forwarded again after a crash, and after an upgrade', async () => {
  await using daemon = await startKept({ args: ['-forward-address', HERE] })
  await using puppet = await startPuppet('p')
  const port = await puppet.listen('127.0.0.1')
  const answers = () => received(HERE, port).catch(() => '')
  await expect.poll(answers).toBe('from p\n')
  await crash(daemon)
  await expect.poll(answers).toBe('from p\n')
  await upgrade(daemon)
  await expect.poll(answers).toBe('from p\n')
})

test.each([
  ['a crash', crash],
  ['an upgrade', upgrade],
])(
  'of input that waits for a command at %s what the kernel has taken is there, and the call fails',
  async (_, exchange) => {
    await using dir = await makeTmpDir()
    await using daemon = await startKept()
    const { url } = daemon
    const script = `while [ ! -e ${dir.path}/go ]; do sleep 0.02; done; wc -c`
    const pid = await pidOf(await start(url, 'sh', { args: ['-c', script], stdin: true }))
    const sending = sendInput(url, { pid }, { stdin: Buffer.alloc(PIPE + 1) }).then(
      ({ status }) => status,
      () => 'broken off',
    )
    const taken = async () => Object((await call(url, 'jobs.v1.Jobs/Get', { job: { pid } })).body).job.inputBytes
    await expect.poll(taken).toBe(String(PIPE))
    await exchange(daemon)
    expect(await sending).not.toBe(200)
    expect(await taken()).toBe(String(PIPE))
    await writeFile(`${dir.path}/go`, '')
    await closeStdin(url, { pid })
    const { stdout } = await transcript(
      await open(url, 'process.Process/Connect', { process: { pid }, resumeFrom: { stdout: '0' } }),
    )
    expect(Number(stdout)).toBe(PIPE)
  },
)

test('of ends the newest 256 are known after a crash', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  const tags = Array.from({ length: MAX_KEPT + 4 }, (_, i) => `t${i}`)
  for (const tag of tags) await (await start(url, 'true', { tag })).rest()
  await crash(daemon)
  const { jobs } = Object((await call(url, 'jobs.v1.Jobs/List', {})).body)
  expect(jobs.map(({ tag }: { tag: string }) => tag).sort()).toEqual(tags.slice(4).sort())
})

test.each([
  ['the daemon has no keeper and is killed', ['-no-keeper'], ({ pid }: Daemon) => pid],
  ['the keeper is killed', [], ({ launched }: Daemon) => launched],
])('when %s, silent commands go on, writers and terminals end, and the next daemon knows nothing', async (...each) => {
  const [, args, victim] = each
  const daemon = await startDaemon({ args })
  const { url, port } = daemon
  const silent = await pidOf(await start(url, 'sleep', { args: ['1000'] }))
  try {
    const writer = await pidOf(await start(url, 'sh', { args: ['-c', 'while :; do echo x; sleep 0.02; done'] }))
    const terminal = await pidOf(await start(url, 'bash', { args: ['--norc'], pty: { cols: 80, rows: 24 } }))
    const body = JSON.stringify({ accessToken: 'secret', envVars: { COLOUR: 'red' } })
    expect((await sendWhole(`${url}/init`, { method: 'POST', body })).status).toBe(204)
    process.kill(victim(daemon), 'SIGKILL')
    expect(await daemon.ended).toBe(137)
    await expect.poll(async () => [await runs(writer), await runs(terminal)]).toEqual([false, false])
    expect(await runs(silent)).toBe(true)
    // What it wrote last is that it listens.
    expect(daemon.stdout() + daemon.stderr()).toMatch(/^listening on \S+\n$/)
    await expect(sendWhole(`${url}/health`)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await using next = await startDaemon({ port })
    expect(await list(next.url)).toEqual([])
    expect(JSON.parse((await sendWhole(`${next.url}/envs`)).text)).not.toHaveProperty('COLOUR')
    expect(await runs(silent)).toBe(true)
  } finally {
    if (await runs(silent)) process.kill(silent, 'SIGKILL')
  }
})
