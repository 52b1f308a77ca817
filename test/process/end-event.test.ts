import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { shell } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const daemon = commonDaemon()

test('D38 code 0 is an exit without an error', async () => {
  const { end, streamEnd } = await shell(daemon.url, 'exit 0')
  expect(end).toEqual({ exited: true, status: 'exit status 0' })
  expect(streamEnd).toEqual({})
})

test.each([1, 3, 126, 127, 128, 255])('D38 a normal exit reports its code: %i', async (code) => {
  const { end, streamEnd } = await shell(daemon.url, `exit ${code}`)
  const text = `exit status ${code}`
  expect(end).toEqual({ exitCode: code, exited: true, status: text, error: text })
  expect(streamEnd).toEqual({})
})

test.each([
  [1, 'hangup'],
  [2, 'interrupt'],
  [3, 'quit'],
  [4, 'illegal instruction'],
  [5, 'trace/breakpoint trap'],
  [6, 'aborted'],
  [7, 'bus error'],
  [8, 'floating point exception'],
  [9, 'killed'],
  [10, 'user defined signal 1'],
  [11, 'segmentation fault'],
  [12, 'user defined signal 2'],
  [13, 'broken pipe'],
  [14, 'alarm clock'],
  [15, 'terminated'],
  [16, 'stack fault'],
  [24, 'CPU time limit exceeded'],
  [25, 'file size limit exceeded'],
  [26, 'virtual timer expired'],
  [27, 'profiling timer expired'],
  [29, 'I/O possible'],
  [30, 'power failure'],
  [31, 'bad system call'],
  [34, 'signal 34'],
  [40, 'signal 40'],
  [64, 'signal 64'],
])('D39 signal %i is reported as "%s"', async (number, name) => {
  const { end } = await shell(daemon.url, `ulimit -c 0; kill -${number} $$; sleep 60`)
  const status = `signal: ${name}`
  expect(end).toEqual({ exitCode: -1, status, error: status })
})

test('D39 D41 a core dump is reported in the status', async (context) => {
  const pattern = await readFile('/proc/sys/kernel/core_pattern', 'utf8')
  if (!/^[^|/]/.test(pattern)) context.skip('core files are not written to the working directory here')
  await using directory = await makeTmpDir()
  const limit = await shell(daemon.url, 'ulimit -Hc')
  if (limit.stdout.toString() !== 'unlimited\n') context.skip('the hard limit of core files forbids them here')
  const { end } = await shell(daemon.url, 'ulimit -c unlimited; kill -6 $$', { cwd: directory.path })
  const status = 'signal: aborted (core dumped)'
  expect(end).toEqual({ exitCode: -1, status, error: status })
})

test('D40 a shell that translates a signal of its command exits with a code', async () => {
  const { end } = await shell(daemon.url, "sh -c 'kill -9 $$'; exit $?")
  expect(end).toEqual({ exitCode: 137, exited: true, status: 'exit status 137', error: 'exit status 137' })
})

test('D38 in a terminal the end is reported in the same way', async () => {
  const pty = { cols: 80, rows: 24 }
  expect((await shell(daemon.url, 'exit 3', { pty })).end).toMatchObject({ exitCode: 3, status: 'exit status 3' })
  expect((await shell(daemon.url, 'kill -9 $$', { pty })).end).toMatchObject({ exitCode: -1, status: 'signal: killed' })
})

test('D15 there is exactly one end, and it is the last message', async () => {
  const { end } = await shell(daemon.url, 'echo out; echo err >&2; exit 1')
  expect(end).toMatchObject({ exitCode: 1 })
})
