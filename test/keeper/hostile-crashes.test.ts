import { execFile } from 'node:child_process'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Daemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { pidOf, shell, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { list, resize, sendInput } from '../process/calls.ts'
import { crash, startKept } from './crash.ts'
import { digestOf, followExactly, untilAnswered } from './exact-follower.ts'

const run = promisify(execFile)

/** By hand: ENVD_START_STEP_MS=1 */
const STEP_MS = Number(process.env['ENVD_START_STEP_MS'] ?? 30)
/** Longer than a start takes on a machine that is not loaded. */
const START_MS = 300

/** By hand: ENVD_FULL_PIPES=500 */
const FULL_PIPES = Number(process.env['ENVD_FULL_PIPES'] ?? 100)
/** Several times what a pipe holds. */
const WRITTEN = 200_000

/** Of numbers: three windows of one command. */
const LINES = 2_000_000

/** The child of that shell has filled the pipe that it writes to. */
async function waitsToWrite(shell: number): Promise<boolean> {
  const child = (await readFile(`/proc/${shell}/task/${shell}/children`, 'latin1').catch(() => '')).trim()
  return /pipe_write/.test(await readFile(`/proc/${child}/wchan`, 'latin1').catch(() => ''))
}

/** Kills the daemon that there is next, so long after the one before it has ended. */
async function killNext(daemon: Daemon, after: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const before = daemon.pid
  if (!Number.isNaN(before)) process.kill(before, 'SIGKILL')
  await expect.poll(() => daemon.pid, { interval: 1, timeout: 10_000 }).not.toBe(before)
  while (Number.isNaN(daemon.pid)) await delay(1)
  await delay(after)
  const pid = daemon.pid
  if (!Number.isNaN(pid)) process.kill(pid, signal)
}

const COUNT = 'i=0; while [ ! -e END ]; do i=$((i+1)); echo $i; sleep 0.01; done; echo $i >COUNTED; exit 5'

/** A command that counts until it is told to end, and then has to have written exactly that. */
async function startCounting(url: string, path: string) {
  const args = ['-c', COUNT.replace('END', `${path}/end`).replace('COUNTED', `${path}/counted`)]
  const pid = await pidOf(await start(url, 'sh', { args }))
  const following = followExactly(url, pid)
  following.catch(() => {})
  return async () => {
    await writeFile(`${path}/end`, '')
    const { status, digests } = await following
    const last = Number(await readFile(`${path}/counted`, 'utf8'))
    const all = Array.from({ length: last }, (_, index) => `${index + 1}\n`).join('')
    expect([status, digests.stdout]).toEqual(['exit status 5', digestOf(all)])
  }
}

test(
  `a daemon that is killed at every ${STEP_MS} ms of its start loses nothing`,
  async () => {
    await using dir = await makeTmpDir()
    await using daemon = await startKept()
    const { url } = daemon
    const ends = await startCounting(url, dir.path)
    for (let after = 0; after <= START_MS; after += STEP_MS) {
      await killNext(daemon, after)
      expect((await sendWhole(`${url}/health`)).status).toBe(204)
      expect(await list(url)).toHaveLength(1)
    }
    await ends()
  },
  60_000 + (START_MS / STEP_MS) * 3_000,
)

test('a daemon that is killed in each of 20 starts in a row loses nothing', async () => {
  await using dir = await makeTmpDir()
  await using daemon = await startKept()
  const ends = await startCounting(daemon.url, dir.path)
  for (let kills = 0; kills < 20; kills++) await killNext(daemon, kills * 4)
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
  await ends()
}, 120_000)

test(`${FULL_PIPES} commands with full pipes go on over a crash, each to its last byte`, async () => {
  await using dir = await makeTmpDir()
  await using daemon = await startKept()
  const { url } = daemon
  const gate = `${dir.path}/gate`
  await run('mkfifo', [gate])
  await using holder = await open(gate, 'r+')
  const pids: number[] = []
  for (let i = 0; i < FULL_PIPES; i++) {
    const args = ['-c', `read line <${gate}; head -c ${WRITTEN} /dev/zero; exit ${i % 100}`]
    pids.push(await pidOf(await start(url, 'sh', { args })))
  }
  const following = pids.map((pid) => followExactly(url, pid))
  for (const each of following) each.catch(() => {})
  expect(await list(url)).toHaveLength(FULL_PIPES)
  process.kill(daemon.pid, 'SIGSTOP')
  // A line for each, whenever it comes to read; what they write is not read.
  await holder.write('\n'.repeat(FULL_PIPES))
  const waiting = async () => (await Promise.all(pids.map(waitsToWrite))).filter(Boolean).length
  await expect.poll(waiting, { timeout: 60_000 }).toBe(FULL_PIPES)
  const kept = (await readdir(`/proc/${daemon.launched}/fd`)).length
  const killed = performance.now()
  await crash(daemon)
  const health = Math.round(performance.now() - killed)
  const ends = await Promise.all(following)
  const all = Math.round(performance.now() - killed)
  console.log(JSON.stringify({ commands: FULL_PIPES, descriptors_of_keeper: kept, health_ms: health, all_ms: all }))
  const zeros = digestOf(Buffer.alloc(WRITTEN))
  for (const [i, { status, digests }] of ends.entries())
    expect([i, status, digests.stdout]).toEqual([i, `exit status ${i % 100}`, zeros])
}, 120_000)

test('a command that writes much faster than its client comes back loses nothing', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  const pid = await pidOf(await start(url, 'sh', { args: ['-c', `sleep 1; seq 1 ${LINES}; exit 4`] }))
  process.kill(daemon.pid, 'SIGSTOP')
  await expect.poll(() => waitsToWrite(pid)).toBe(true)
  await crash(daemon)
  // Enough for all of it, if nothing held it up.
  await delay(1_000)
  const { status, digests } = await followExactly(url, pid)
  const all = Array.from({ length: LINES }, (_, index) => `${index + 1}\n`).join('')
  expect([status, digests.stdout]).toEqual(['exit status 4', digestOf(all)])
}, 60_000)

test('a command for which no client comes back is not held up for long', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  await using dir = await makeTmpDir()
  const script = `sleep 1; seq 1 ${LINES}; echo done >${dir.path}/done`
  const pid = await pidOf(await start(url, 'sh', { args: ['-c', script] }))
  process.kill(daemon.pid, 'SIGSTOP')
  await expect.poll(() => waitsToWrite(pid)).toBe(true)
  await crash(daemon)
  const done = () => readFile(`${dir.path}/done`, 'utf8').catch(() => '')
  await expect.poll(done, { timeout: 30_000 }).toBe('done\n')
}, 60_000)

test('a terminal that is resized while there is no daemon has that size', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  const pid = await pidOf(await start(url, 'bash', { args: ['--norc'], pty: { cols: 80, rows: 24 } }))
  let typed = ''
  const typing = followExactly(url, pid, (text) => {
    typed += text
  })
  process.kill(daemon.pid, 'SIGKILL')
  await untilAnswered(() => resize(url, { pid }, { cols: 101, rows: 33 }))
  await untilAnswered(() => sendInput(url, { pid }, { pty: 'stty size; exit 3\n' }))
  expect((await typing).status).toBe('exit status 3')
  expect(typed).toContain('33 101')
})

test('SIGTERM to the keeper at any moment of a restart ends all, in order', async () => {
  for (let after = 0; after <= START_MS; after += START_MS / 6) {
    const daemon = await startKept()
    process.kill(daemon.pid, 'SIGKILL')
    await delay(after)
    process.kill(daemon.launched, 'SIGTERM')
    const code = await daemon.ended
    expect([after, [0, 137, 143].includes(code), code]).toEqual([after, true, code])
    await expect(sendWhole(`${daemon.url}/health`)).rejects.toThrow(/ECONNREFUSED/)
  }
}, 60_000)

test('a stopped daemon is not replaced, and goes on with all that waited; stopped and killed it is', async () => {
  await using dir = await makeTmpDir()
  await using daemon = await startKept()
  const { url, pid } = daemon
  const ends = await startCounting(url, dir.path)
  process.kill(pid, 'SIGSTOP')
  const waiting = sendWhole(`${url}/health`)
  await delay(1000)
  expect(daemon.pid).toBe(pid)
  process.kill(pid, 'SIGCONT')
  expect((await waiting).status).toBe(204)
  process.kill(pid, 'SIGSTOP')
  await crash(daemon)
  expect(daemon.pid).not.toBe(pid)
  await ends()
})

test('with full or read-only places for its files a daemon is started again all the same', async (context) => {
  needsNamespace(context)
  await using dir = await makeTmpDir()
  await using places = await makeTmpDir()
  await using daemon = await startKept({
    args: ['-run-dir', `${places.path}/run`, '-upload-dir', `${places.path}/uploads`],
  })
  const ends = await startCounting(daemon.url, dir.path)
  for (const options of ['size=4k', 'ro']) {
    await run('mount', ['-t', 'tmpfs', '-o', options, 'none', places.path])
    try {
      if (options !== 'ro') await writeFile(`${places.path}/fill`, Buffer.alloc(4096)).catch(() => {})
      await crash(daemon)
      expect(String((await shell(daemon.url, 'echo on')).stdout)).toBe('on\n')
    } finally {
      await run('umount', [places.path])
    }
  }
  await ends()
})
