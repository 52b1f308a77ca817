import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { createRig, fileIn, type Rig } from './rig.ts'

async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  return stat !== '' && !stat.includes(') Z')
}

/** The pid that a script wrote into that file. */
async function pidIn(rig: Rig, name: string): Promise<number> {
  let pid = 0
  await expect
    .poll(async () => {
      pid = Number(await readFile(fileIn(rig, name), 'utf8').catch(() => ''))
      return pid
    })
    .toBeGreaterThan(0)
  return pid
}

/** A script that runs in a session of its own and writes its pid. */
const away = (name: string) => `setsid sh -c 'echo $$ > ${name}.new; mv ${name}.new ${name}; exec sleep 1000'`

/** A kernel as Jupyter's; one whose parent is gone; one without the variables of the start command. */
const KERNELS = `${away('kernel')} & (${away('orphan')} &); env -i PATH="$PATH" ${away('bare')} & touch up`

test('Stop ends what the command started in sessions of its own', async () => {
  await using rig = await createRig({ startCommand: `${KERNELS}; sleep 1000`, readyCommand: '[ -e up ]' })
  await rig.reaches('ready')
  const pids = await Promise.all(['kernel', 'orphan', 'bare'].map((name) => pidIn(rig, name)))
  await rig.supervisor.stop(NEVER)
  for (const pid of pids) expect(await isAlive(pid)).toBe(false)
})

test('what a killed command left in sessions of its own is ended before it is started again', async () => {
  const startCommand = `rm -f kernel orphan; echo run >> runs; ${KERNELS}; exec sleep 1000`
  await using rig = await createRig({ startCommand, readyCommand: '[ -e up ]', restart: 'on-failure' })
  const { pid = 0 } = await rig.reaches('ready')
  const old = await Promise.all(['kernel', 'orphan'].map((name) => pidIn(rig, name)))
  process.kill(pid, 'SIGKILL')
  await rig.reaches('backing off')
  await rig.reaches('ready')
  for (const kernel of old) expect(await isAlive(kernel)).toBe(false)
  await rig.supervisor.stop(NEVER)
})

test('one that ignores SIGTERM is killed after the grace; no other process is signalled', async () => {
  const stubborn = `setsid sh -c 'trap "" TERM; echo $$ > stubborn; while :; do sleep 1; done' & touch up; exec sleep 1000`
  await using rig = await createRig({ startCommand: stubborn, readyCommand: '[ -e up ]' })
  await using other = await createRig({ startCommand: `${KERNELS}; exec sleep 1000`, readyCommand: '[ -e up ]' })
  await rig.reaches('ready')
  await other.reaches('ready')
  const [pid, kernel] = [await pidIn(rig, 'stubborn'), await pidIn(other, 'kernel')]
  await rig.supervisor.stop(NEVER)
  expect(await isAlive(pid)).toBe(false)
  expect(await isAlive(kernel)).toBe(true)
  await other.supervisor.stop(NEVER)
  expect(await isAlive(kernel)).toBe(false)
})
