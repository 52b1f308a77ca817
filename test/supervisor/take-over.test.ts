import { execFile } from 'node:child_process'
import { chmod, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { connect, list } from '../process/calls.ts'
import { outputUntil } from '../process/following.ts'

/** Says so when it starts, answers lines in the file `ask` on its output, and ends with the file `end`. */
const SERVICE = `
echo $$ >> started
while :; do
  if [ -e ask ]; then rm ask; echo answer; fi
  if [ -e end ]; then rm end; exit 0; fi
  sleep 0.05
done`

async function workDir(): Promise<string> {
  const dir = await makeTmpDir()
  onTestFinished(async () => {
    for (const pid of await started(dir.path)) await kill(pid)
    await dir[Symbol.asyncDispose]()
  })
  return dir.path
}

/** Pids of the start commands so far, oldest first. */
async function started(dir: string): Promise<number[]> {
  const text = await readFile(join(dir, 'started'), 'utf8').catch(() => '')
  return text.split('\n').slice(0, -1).map(Number)
}

async function kill(pid: number): Promise<void> {
  await promisify(execFile)('kill', ['-9', String(pid)]).catch(() => {})
}

async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  return stat !== '' && !stat.includes(') Z')
}

function start(dir: string, args: readonly string[] = []): Promise<Daemon> {
  const settings = ['-start-workdir', dir, '-start-env', `HOME=${dir}`, '-run-dir', join(dir, 'run')]
  const commands = ['-start-cmd', SERVICE, '-ready-cmd', '[ -e started ]', '-kill-on-exit=false']
  return startDaemon({ args: [...settings, ...commands, ...args] })
}

async function becomesReady({ url }: Daemon): Promise<void> {
  await expect.poll(async () => (await sendWhole(`${url}/ready`)).status).toBe(204)
}

/** Kills the daemon once it has recorded its start command, without a signal to stop. */
async function crash(daemon: Daemon, dir: string): Promise<void> {
  await becomesReady(daemon)
  const record = join(dir, 'run', 'start.service.json')
  const [pid] = (await started(dir)).slice(-1)
  await expect.poll(() => readFile(record, 'utf8').catch(() => '')).toContain(`"leader":{"pid":${pid},`)
  process.kill(daemon.launched, 'SIGKILL')
  await daemon.ended
}

const get = async ({ url }: Daemon) => (await call(url, 'supervisor.Supervisor/Get', {})).body

describe('a daemon that is started anew', () => {
  test('adopts the start command that lives, with its output, and Stop ends that one', async () => {
    const dir = await workDir()
    await crash(await start(dir), dir)
    const [pid = 0] = await started(dir)
    // While no daemon is there: an answer without a reader must not end the command.
    await writeFile(join(dir, 'ask'), '')
    await expect.poll(() => readFile(join(dir, 'ask')).catch(() => 'taken')).toBe('taken')
    await using daemon = await start(dir)
    await becomesReady(daemon)
    expect(await started(dir)).toEqual([pid])
    expect(await get(daemon)).toMatchObject({ status: { state: 'STATE_READY', pid } })
    expect((await list(daemon.url)).map((process) => [process.tag, process.pid])).toEqual([['start', pid]])
    const stream = await connect(daemon.url, { tag: 'start' })
    await outputUntil(stream, 'answer\n')
    await writeFile(join(dir, 'ask'), '')
    await outputUntil(stream, 'answer\n')
    expect((await call(daemon.url, 'supervisor.Supervisor/Stop', {})).body).toMatchObject({
      status: { state: 'STATE_STOPPED' },
    })
    expect(await isAlive(pid)).toBe(false)
    expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'exit status unknown' })
    expect((await call(daemon.url, 'supervisor.Supervisor/Start', {})).status).toBe(200)
    await expect.poll(() => started(dir)).toHaveLength(2)
  })

  test('notices the end of an adopted command, says that its status is unknown, and starts it again', async () => {
    const dir = await workDir()
    await crash(await start(dir), dir)
    await using daemon = await start(dir, ['-restart', 'on-failure'])
    await becomesReady(daemon)
    await writeFile(join(dir, 'end'), '')
    const reason = 'start command ended, exit status unknown: an earlier daemon started it'
    await expect
      .poll(() => get(daemon))
      .toMatchObject({
        status: { cause: { kind: 'KIND_END_UNKNOWN' }, reason: expect.stringContaining(reason) },
      })
    // The file that makes it ready is there from the first start on.
    await becomesReady(daemon)
    await expect.poll(() => started(dir)).toHaveLength(2)
    expect(await get(daemon)).toMatchObject({ status: { restarts: 1 } })
  })

  test.each([
    ['-leftover end asks for that', ['-leftover', 'end']],
    ['its settings are other ones', ['-start-env', 'COLOUR=red']],
  ])('ends the command that lives before it starts one where %s', async (_, args) => {
    const dir = await workDir()
    await crash(await start(dir), dir)
    const [pid = 0] = await started(dir)
    await using daemon = await start(dir, args)
    await expect.poll(() => started(dir)).toHaveLength(2)
    expect(await isAlive(pid)).toBe(false)
    await becomesReady(daemon)
  })

  test('leaves the command of a daemon that lives alone', async () => {
    const dir = await workDir()
    await using first = await start(dir)
    await becomesReady(first)
    const [pid = 0] = await started(dir)
    await expect.poll(() => readFile(join(dir, 'run/start.service.json'), 'utf8').catch(() => '')).not.toBe('')
    await using second = await start(dir)
    await becomesReady(second)
    await expect.poll(() => started(dir)).toHaveLength(2)
    expect(await get(first)).toMatchObject({ status: { pid } })
    expect(await isAlive(pid)).toBe(true)
  })

  test.each([
    [
      'names another process of that pid',
      async (path: string) => {
        const record = JSON.parse(await readFile(path, 'utf8'))
        await writeFile(
          path,
          JSON.stringify({ ...record, leader: { ...record.leader, startTime: '1' }, marker: 'another' }),
        )
      },
    ],
    ['others may write', (path: string) => chmod(path, 0o666)],
    ['is no JSON', (path: string) => writeFile(path, '{')],
    [
      'is a pipe',
      async (path: string) => {
        await rm(path)
        await promisify(execFile)('mkfifo', [path])
      },
    ],
  ])('takes nothing over by a record that %s', async (_, change) => {
    const dir = await workDir()
    await crash(await start(dir), dir)
    const [pid = 0] = await started(dir)
    await change(join(dir, 'run/start.service.json'))
    await using daemon = await start(dir)
    await becomesReady(daemon)
    await expect.poll(() => started(dir)).toHaveLength(2)
    expect(await isAlive(pid)).toBe(true)
  })
})
