import { spawnSync } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call, open } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { connect, list } from '../process/calls.ts'
import { outputUntil } from '../process/following.ts'

async function workDir(): Promise<string> {
  const dir = await makeTmpDir()
  onTestFinished(() => dir[Symbol.asyncDispose]())
  return dir.path
}

/** A service that writes its name when it starts and when it is told to end, and is ready with the file `NAME.up`. */
const service = (name: string, more: object = {}) => ({
  name,
  command: `echo "start ${name}" >> log; echo "I am ${name}"; trap 'echo "stop ${name}" >> log; exit 0' TERM; sleep 1000 & wait`,
  ready: `[ -e ${name}.up ]`,
  ...more,
})

async function start(dir: string, services: readonly object[], args: readonly string[] = []): Promise<Daemon> {
  const file = join(dir, 'envd.json')
  const settings = { isnotfc: true, 'start-workdir': dir, 'start-env': { HOME: dir }, 'live-interval': 1, services }
  await writeFile(file, JSON.stringify(settings))
  return startDaemon({ args: ['-config', file, ...args] })
}

const logOf = async (dir: string) => (await readFile(join(dir, 'log'), 'utf8').catch(() => '')).split('\n').slice(0, -1)
const up = (dir: string, name: string) => writeFile(join(dir, `${name}.up`), '')

async function ready({ url }: Daemon) {
  const { status, text } = await sendWhole(`${url}/ready`)
  return { status, ...(text === '' ? {} : JSON.parse(text)) }
}

async function statuses({ url }: Daemon): Promise<[string, string][]> {
  const { body } = await call(url, 'supervisor.Supervisor/List', {})
  const found = (body as { statuses: { service: string; state: string }[] }).statuses
  return found.map(({ service, state }) => [service, state.replace('STATE_', '')])
}

test('they start in the order of what they wait for, and the sandbox is ready when all are', async () => {
  const dir = await workDir()
  await using daemon = await start(dir, [
    service('web', { after: ['db', 'start'] }),
    service('start'),
    service('db', { after: ['start'] }),
  ])
  await expect.poll(() => logOf(dir)).toEqual(['start start'])
  expect(await call(daemon.url, 'supervisor.Supervisor/Get', { service: 'web' })).toMatchObject({
    body: { status: { service: 'web', state: 'STATE_WAITING', reason: 'waiting for db, start' } },
  })
  expect(await ready(daemon)).toMatchObject({ status: 503, state: 'starting' })
  await up(dir, 'start')
  await expect.poll(() => logOf(dir)).toEqual(['start start', 'start db'])
  expect(await ready(daemon)).toMatchObject({ status: 503, service: 'db', state: 'starting' })
  await up(dir, 'db')
  await expect.poll(() => logOf(dir)).toEqual(['start start', 'start db', 'start web'])
  await up(dir, 'web')
  await expect.poll(() => ready(daemon)).toEqual({ status: 204 })
  expect(await statuses(daemon)).toEqual([
    ['start', 'READY'],
    ['db', 'READY'],
    ['web', 'READY'],
  ])
  expect(
    (await list(daemon.url))
      .map(({ tag }) => tag)
      .filter((tag) => !tag?.includes('ready'))
      .sort(),
  ).toEqual(['db', 'start', 'web'])
  const stream = await connect(daemon.url, { tag: 'db' })
  await outputUntil(stream, 'I am db\n')
})

test('they are stopped in reverse', async () => {
  const dir = await workDir()
  const names = ['a', 'b', 'c']
  await using daemon = await start(dir, [service('a'), service('b', { after: ['a'] }), service('c', { after: ['b'] })])
  for (const name of names) await up(dir, name)
  await expect.poll(() => ready(daemon)).toEqual({ status: 204 })
  expect(await daemon.stop()).toBe(0)
  expect((await logOf(dir)).slice(3)).toEqual(['stop c', 'stop b', 'stop a'])
})

test('each is stopped, started and restarted for itself; calls without a name mean start', async () => {
  const dir = await workDir()
  await using daemon = await start(dir, [service('start'), service('db', { restart: 'on-failure' })])
  await up(dir, 'start')
  await up(dir, 'db')
  await expect.poll(() => ready(daemon)).toEqual({ status: 204 })
  const supervisor = (method: string, request: object) => call(daemon.url, `supervisor.Supervisor/${method}`, request)
  expect((await supervisor('Stop', { service: 'db' })).body).toMatchObject({
    status: { service: 'db', state: 'STATE_STOPPED', reason: 'stopped on request' },
  })
  expect((await supervisor('Get', {})).body).toMatchObject({ status: { service: 'start', state: 'STATE_READY' } })
  expect(await ready(daemon)).toMatchObject({ status: 503, service: 'db', state: 'stopped' })
  expect((await supervisor('Start', { service: 'db' })).status).toBe(200)
  await expect.poll(() => ready(daemon)).toEqual({ status: 204 })
  const { body } = await supervisor('Get', { service: 'db' })
  process.kill((body as { status: { pid: number } }).status.pid, 'SIGKILL')
  await expect
    .poll(() => supervisor('Get', { service: 'db' }).then((answer) => answer.body))
    .toMatchObject({ status: { state: 'STATE_READY', restarts: 1 } })
  expect((await supervisor('Get', {})).body).not.toHaveProperty('status.restarts')
  expect((await supervisor('Stop', { service: 'nobody' })).body).toEqual({
    code: 'not_found',
    message: 'no service is named "nobody"',
  })
})

test('one that has no ready command is ready when it is started, and does not count for /ready', async () => {
  const dir = await workDir()
  await using daemon = await start(dir, [{ name: 'broken', command: 'exit 3' }, service('web', { after: ['broken'] })])
  await up(dir, 'web')
  await expect.poll(() => ready(daemon)).toEqual({ status: 204 })
  await expect.poll(() => statuses(daemon)).toContainEqual(['broken', 'FAILED'])
  expect(await ready(daemon)).toEqual({ status: 204 })
  expect((await call(daemon.url, 'supervisor.Supervisor/Get', { service: 'broken' })).body).toMatchObject({
    status: { reason: 'service broken exited with 3' },
  })
  await rm(join(dir, 'web.up'))
  await expect.poll(() => ready(daemon)).toMatchObject({ status: 503, service: 'web', state: 'degraded' })
})

test('Watch streams the changes of one, or of all after the present status of each', async () => {
  const dir = await workDir()
  await using daemon = await start(dir, [service('start'), service('db')])
  type Item = { readonly status: { readonly service: string; readonly state: string } }
  const watch = (request: object) => open<Item>(daemon.url, 'supervisor.Supervisor/Watch', request)
  const [one, all] = [await watch({ service: 'db' }), await watch({ all: true })]
  expect((await one.next()).status.service).toBe('db')
  expect([(await all.next()).status.service, (await all.next()).status.service]).toEqual(['start', 'db'])
  await up(dir, 'db')
  for (const stream of [one, all]) {
    let { status } = await stream.next()
    while (status.state !== 'STATE_READY') status = (await stream.next()).status
    expect(status.service).toBe('db')
  }
})

test('a file of services that wait for each other ends the daemon with 2 and says which', async () => {
  const dir = await workDir()
  const file = join(dir, 'envd.json')
  await writeFile(file, JSON.stringify({ services: [service('a', { after: ['b'] }), service('b', { after: ['a'] })] }))
  const launcher = fileURLToPath(new URL('../../scripts/envd', import.meta.url))
  const { status, stderr } = spawnSync(launcher, ['-config', file, '-port', '0'], { encoding: 'utf8' })
  expect([status, stderr.split('\n')[0]]).toEqual([
    2,
    `config file ${file}: services wait for each other: a after b after a`,
  ])
})
