import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, createReadStream, openSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const launcher = fileURLToPath(new URL('../../scripts/envd', import.meta.url))

/** A daemon that logs everything, with the given standard output; ended with the test. */
async function startVerbose(stdout: number | 'pipe', dir: string): Promise<ChildProcess> {
  const stdio: StdioOptions = ['ignore', stdout, 'ignore']
  const child = spawn(launcher, ['-isnotfc', '-verbose', '-port', '0', '-address', '127.0.0.1', '-run-dir', dir], {
    stdio,
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  return child
}

function urlIn(text: string): string | undefined {
  return /listening on (http:\S+)\n/.exec(text)?.[1]
}

/** The first line of a pipe that is never read again. */
async function firstLineOf(pipe: number): Promise<string> {
  const bytes = Buffer.alloc(256)
  let text = ''
  const url = () => {
    try {
      text += bytes.toString('utf8', 0, readSync(pipe, bytes))
    } catch {}
    return urlIn(text)
  }
  await expect.poll(url, { timeout: 20_000 }).toBeDefined()
  return urlIn(text) ?? ''
}

/** Makes the daemon write 400 KB of lines, more than a pipe or a socket takes. */
async function fill(url: string): Promise<void> {
  const answers = Array.from({ length: 20 }, async () => {
    for (let round = 0; round < 30; round++) expect((await sendWhole(`${url}/${'x'.repeat(500)}`)).status).toBe(404)
  })
  await Promise.all(answers)
}

async function stopped(child: ChildProcess): Promise<unknown[]> {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  return ended
}

test('with a full pipe for standard output the daemon answers, and ends when it is told to', async () => {
  await using dir = await makeTmpDir()
  const path = `${dir.path}/pipe`
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(path, 'w')
  const daemon = await startVerbose(writer, dir.path)
  closeSync(writer)
  const url = await firstLineOf(reader)
  await fill(url)
  expect((await sendWhole(`${url}/health`)).status).toBe(204)
  expect(await stopped(daemon)).toEqual([0, null])
  closeSync(reader)
})

test('a pipe that is read again gets whole lines', async () => {
  await using dir = await makeTmpDir()
  const path = `${dir.path}/pipe`
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(path, 'w')
  const daemon = await startVerbose(writer, dir.path)
  closeSync(writer)
  const url = await firstLineOf(reader)
  await fill(url)
  const rest = openSync(path, 'r')
  closeSync(reader)
  const text = createReadStream('', { fd: rest, encoding: 'utf8' }).toArray()
  await call(url, 'process.Process/List', {})
  expect(await stopped(daemon)).toEqual([0, null])
  const lines = (await text).join('').trimEnd().split('\n').slice(1)
  const messages = lines.map((line): unknown => JSON.parse(line).message)
  expect(messages.length).toBeGreaterThan(600)
  expect(messages.slice(-2)).toEqual(['rpc', 'stopping'])
})

test('with a socket without a reader for standard output the daemon answers, and ends at SIGTERM', async () => {
  await using dir = await makeTmpDir()
  const daemon = await startVerbose('pipe', dir.path)
  // With 'pipe' there is a stream; the cast: it may be anything in the type of a child that any options made.
  const output = daemon.stdout as Readable
  let text = ''
  output.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    if (urlIn(text) !== undefined) output.removeAllListeners('data').pause()
  })
  await expect.poll(() => urlIn(text), { timeout: 20_000 }).toBeDefined()
  const url = urlIn(text) ?? ''
  await fill(url)
  expect((await sendWhole(`${url}/health`)).status).toBe(204)
  expect(await stopped(daemon)).toEqual([0, null])
})

test('lines go to the end of a file that others write to as well', async () => {
  await using dir = await makeTmpDir()
  const path = `${dir.path}/log`
  writeFileSync(path, 'there before\n')
  const file = openSync(path, 'a')
  const daemon = await startVerbose(file, dir.path)
  closeSync(file)
  await expect.poll(() => urlIn(readFileSync(path, 'utf8')), { timeout: 20_000 }).toBeDefined()
  expect(await stopped(daemon)).toEqual([0, null])
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  expect(lines[0]).toBe('there before')
  expect(lines.slice(1)).toContainEqual(expect.stringMatching(/^listening on/))
  expect(lines.at(-1)).toContain('"message":"stopping"')
})
