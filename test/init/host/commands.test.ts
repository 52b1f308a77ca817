import { readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { createHostCommands } from '../../../src/init/host/commands.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

const commands = createHostCommands('/usr/local/bin:/usr/bin:/bin')
const limits = { timeout: 20_000, signal: NEVER }
const sh = (script: string, more: Partial<typeof limits> = {}) =>
  commands.run('sh', ['-c', script], { ...limits, ...more })

test('a host command ends with its exit code and what it wrote to both streams', async () => {
  expect(await sh('echo out; echo err >&2; exit 7')).toEqual({
    exitCode: 7,
    output: expect.stringMatching(/^(out\nerr|err\nout)$/),
  })
  expect(await sh('kill -9 $$')).toEqual({ exitCode: undefined, output: '' })
})

test('a host command gets its arguments as they are, PATH and LANG, an empty input and the root directory', async () => {
  expect((await commands.run('printf', ['%s|', 'a b', '$HOME', ';true', '*', ''], limits)).output).toBe(
    'a b|$HOME|;true|*||',
  )
  expect((await commands.run('env', [], limits)).output.split('\n').sort()).toEqual([
    'LANG=C',
    'PATH=/usr/local/bin:/usr/bin:/bin',
  ])
  expect((await sh('cat; pwd')).output).toBe('/')
})

test('of the output of a host command the last 4 KiB are kept', async () => {
  const { output } = await sh('seq 1 100000; echo last')
  expect(output.length).toBeLessThanOrEqual(4096)
  expect(output.endsWith('100000\nlast')).toBe(true)
})

test('a host command that cannot be started is reported with its name', async () => {
  await expect(commands.run('no-such-command', [], limits)).rejects.toMatchObject({
    kind: 'failed_precondition',
    message: 'no-such-command: command not found',
  })
  await using directory = await makeTmpDir()
  await writeFile(`${directory.path}/broken`, 'exit 0')
  await expect(createHostCommands(directory.path).run('broken', [], limits)).rejects.toMatchObject({
    kind: 'internal',
    message: 'broken: cannot be started: permission denied',
  })
  expect(commands.pids()).toEqual([])
})

test('at its timeout a host command is killed with all its children', async () => {
  await using directory = await makeTmpDir()
  const file = `${directory.path}/pids`
  await expect(
    sh(`trap '' TERM INT HUP; echo saying; sleep 1000 & echo $$ $! > ${file}; wait`, { timeout: 500 }),
  ).rejects.toMatchObject({ kind: 'deadline_exceeded', message: 'sh: not done after 0.5 s: saying' })
  const pids = (await readFile(file, 'utf8')).trim().split(' ')
  expect(pids).toHaveLength(2)
  for (const pid of pids) await expect.poll(() => isAlive(Number(pid))).toBe(false)
  await expect.poll(() => commands.pids()).toEqual([])
})

test('a host command ends with the reason of the signal, before and after its start', async () => {
  const gone = new Error('gone')
  await expect(sh('exit 0', { signal: AbortSignal.abort(gone) })).rejects.toBe(gone)
  const stopping = new AbortController()
  const running = sh('sleep 1000', { signal: stopping.signal })
  await expect.poll(() => commands.pids().length).toBe(1)
  const [pid = 0] = commands.pids()
  stopping.abort(gone)
  await expect(running).rejects.toBe(gone)
  await expect.poll(() => isAlive(pid)).toBe(false)
})

test('a child of a host command that keeps its output open is not waited for', async () => {
  const started = performance.now()
  const { exitCode, output } = await sh('setsid sleep 300 & echo $!')
  expect(exitCode).toBe(0)
  expect(performance.now() - started).toBeLessThan(100_000)
  process.kill(Number(output), 'SIGKILL')
})

test('fifty host commands at once all report their own end', async () => {
  const ends = await Promise.all(Array.from({ length: 50 }, (_, index) => sh(`echo ${index}; exit ${index}`)))
  expect(ends).toEqual(ends.map((_, index) => ({ exitCode: index, output: String(index) })))
  expect(commands.pids()).toEqual([])
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
