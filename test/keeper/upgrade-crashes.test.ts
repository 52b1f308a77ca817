import { execFile } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { beforeEach, expect, test } from 'vitest'
import type { Daemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { pidOf, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { list, sendInput } from '../process/calls.ts'
import { crash, startKept } from './crash.ts'
import { followExactly, untilAnswered } from './exact-follower.ts'
import { randomNumbers } from './mixed-load.ts'
import { lockPlaces } from './places-lock.ts'
import { buildVariant, LAUNCHER, writeProgram } from './variant.ts'

/** By hand: ENVD_UPGRADE_KILLS=100 ENVD_UPGRADE_SEED=… */
const ROUNDS = Number(process.env['ENVD_UPGRADE_KILLS'] ?? 8)
const SEED = Number(process.env['ENVD_UPGRADE_SEED'] ?? Date.now() % 1_000_000)

const run = promisify(execFile)

lockPlaces()
beforeEach(needsNamespace)

const report = async ({ url }: Daemon) => JSON.parse((await sendWhole(`${url}/upgrade/status`)).text)
const upgrade = ({ url }: Daemon, path: string) =>
  sendWhole(`${url}/upgrade`, { method: 'POST', headers: { 'x-envd-upgrade-bundle': path } })

/** Answers lines, and ends with 7 when it is told to. */
const READER = 'while read line; do echo "got $line"; [ "$line" = end ] && exit 7; done; exit 9'

test(
  `killed at ${ROUNDS} random moments of an upgrade, the old daemon or the new one goes on, and nothing is lost (seed ${SEED})`,
  async () => {
    console.log(`seed ${SEED}`)
    const random = randomNumbers(SEED)
    await using next = await makeTmpDir(0o755)
    await using back = await makeTmpDir(0o755)
    await buildVariant(next.path, { version: '0.9.2' })
    await writeProgram(back.path, `exec ${LAUNCHER} "$@"`)
    await using daemon = await startKept()
    const { url } = daemon
    const pid = await pidOf(await start(url, 'sh', { args: ['-c', READER] }))
    const following = followExactly(url, pid)
    const outcomes: string[] = []
    let longest = 1_000
    for (let round = 0; round < ROUNDS; round++) {
      const { version } = await report(daemon)
      const begun = performance.now()
      const answered = upgrade(daemon, (version === '0.9.2' ? back : next).path).then(
        ({ text }) => text,
        () => 'ended',
      )
      // The first goes through: others are cut off within what it took.
      if (round > 0) await Promise.race([answered, delay(random() * longest)])
      else await answered
      const running = daemon.pid
      if (round > 0 && !Number.isNaN(running)) process.kill(running, 'SIGKILL')
      await answered
      if (round === 0) longest = (performance.now() - begun) * 1.2
      const serves = async () => (await report(daemon).catch(() => undefined))?.state ?? 'under_way'
      await expect.poll(serves, { timeout: 30_000 }).not.toBe('under_way')
      const after = await report(daemon)
      outcomes.push(`${after.state} ${after.version}`)
      expect((await list(url)).map((process) => process.pid)).toEqual([pid])
      await untilAnswered(() => sendInput(url, { pid }, { stdin: `${round}\n` }))
    }
    console.log(outcomes.join(', '))
    await untilAnswered(() => sendInput(url, { pid }, { stdin: 'end\n' }))
    const { status, text } = await following
    const lines = Array.from({ length: ROUNDS }, (_, round) => `got ${round}\n`).join('')
    expect([status, text]).toEqual(['exit status 7', `${lines}got end\n`])
  },
  60_000 + ROUNDS * 20_000,
)

test('a daemon that is killed when the one that was delivered has just been started is followed by that one, which stays', async () => {
  await using dir = await makeTmpDir(0o755)
  await using daemon = await startKept()
  const { url } = daemon
  const pid = await pidOf(await start(url, 'sh', { args: ['-c', READER] }))
  await mkdir(`${dir.path}/b`)
  await buildVariant(`${dir.path}/b`, { version: '0.9.5' })
  const { stdout: body } = await run('tar', ['-C', dir.path, '-cz', 'b'], { encoding: 'buffer', maxBuffer: 1e9 })
  const headers = { 'x-envd-upgrade-bundle': 'body' }
  const answered = sendWhole(`${url}/upgrade`, { method: 'POST', headers, body }).catch(() => undefined)
  const children = async () =>
    (await readFile(`/proc/${daemon.launched}/task/${daemon.launched}/children`, 'utf8')).trim().split(' ').map(Number)
  const before = daemon.pid
  await expect.poll(async () => (await children()).length, { interval: 1, timeout: 30_000 }).toBe(2)
  process.kill(before, 'SIGKILL')
  await answered
  await expect.poll(() => report(daemon).catch(() => undefined)).toMatchObject({ state: 'upgraded', version: '0.9.5' })
  for (let crashes = 0; crashes < 2; crashes++) {
    await crash(daemon)
    expect((await report(daemon)).version).toBe('0.9.5')
  }
  await sendInput(url, { pid }, { stdin: 'end\n' })
  expect((await followExactly(url, pid)).status).toBe('exit status 7')
}, 90_000)

test('a daemon at localhost is upgraded on a machine that does not know that name', async () => {
  await using dir = await makeTmpDir(0o755)
  await writeProgram(dir.path, `exec ${LAUNCHER} "$@"`)
  const nameless = `mount --bind /dev/null /etc/hosts && mount --bind /dev/null /etc/nsswitch.conf && exec ${LAUNCHER} "$@"`
  await using daemon = await startKept({
    launch: ['unshare', '--mount', 'sh', '-c', nameless, 'sh'],
    args: ['-address', 'localhost'],
  })
  await expect(upgrade(daemon, dir.path)).rejects.toMatchObject({ code: 'ECONNRESET' })
  await expect.poll(() => report(daemon).catch(() => undefined)).toMatchObject({ state: 'upgraded' })
})
