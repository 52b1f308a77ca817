import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { close, openPipe, pidfdOpen, pidfdSignal, pidfdWait, spawn } from '../../src/native/index.ts'
import { ended, plainSpec, ready } from './run-process.ts'

const { EBADF, EINVAL, ESRCH } = constants.errno

test('a process is signalled and reaped by its pidfd', async () => {
  const { pidfd } = await spawn({ ...plainSpec, file: 'sleep', args: ['60'] })
  expect(pidfdWait(pidfd)).toBeUndefined()
  expect(pidfdSignal(pidfd, 0)).toBe(0)
  expect(pidfdSignal(pidfd, constants.signals.SIGTERM)).toBe(0)
  await ready(pidfd)
  expect(pidfdWait(pidfd)?.status).toEqual({ signal: 15, coreDumped: false })
  expect(pidfdSignal(pidfd, constants.signals.SIGTERM)).toBe(-ESRCH)
  expect(() => pidfdWait(pidfd)).toThrow(expect.objectContaining({ code: 'ECHILD' }))
  close(pidfd)
})

test('a pidfd of an ended process reaches no process, and its pid cannot be opened', async () => {
  const child = await spawn(plainSpec)
  await ready(child.pidfd)
  // A zombie still has its pid, so that it is not used anew.
  expect(pidfdSignal(child.pidfd, 0)).toBe(0)
  expect(pidfdWait(child.pidfd)?.status).toEqual({ exitCode: 0 })
  expect(pidfdSignal(child.pidfd, 9)).toBe(-ESRCH)
  expect(pidfdOpen(child.pid)).toBe(-ESRCH)
  close(child.pidfd)
})

test('a running process can be opened by its pid', async () => {
  const child = await spawn({ ...plainSpec, file: 'sleep', args: ['60'] })
  const pidfd = pidfdOpen(child.pid)
  expect(pidfdSignal(pidfd, constants.signals.SIGKILL)).toBe(0)
  expect(await ended(child)).toEqual({ signal: 9, coreDumped: false })
  close(pidfd)
})

test('a descriptor that is no pidfd, and a signal that is none, are errors', async () => {
  const [reading, writing] = openPipe()
  expect(pidfdSignal(reading, 9)).toBe(-EBADF)
  expect(() => pidfdWait(reading)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  close(reading)
  close(writing)
  const child = await spawn(plainSpec)
  expect(pidfdSignal(child.pidfd, 1000)).toBe(-EINVAL)
  await ended(child)
  for (const pid of [0, -1, 1.5, 2 ** 31]) expect(() => pidfdOpen(pid)).toThrow(TypeError)
})
