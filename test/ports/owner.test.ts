import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { listeningSockets } from '../../src/native/index.ts'
import { unpackListening } from '../../src/native/listening.ts'
import { findOwners, stillHolds } from '../../src/ports/owner.ts'
import { ended, startPuppet } from './puppet.ts'
import { serve } from './sockets.ts'

const options = { limitMs: 20_000, signal: NEVER }

async function inodeOf(port: number): Promise<string> {
  const found = unpackListening(await listeningSockets(4096)).find((socket) => socket.port === port)
  return found?.inode ?? ''
}

test('the process that holds a socket is found, with the name of its program', async () => {
  await using puppet = await startPuppet('a')
  const inode = await inodeOf(await puppet.listen('127.0.0.1'))
  const owner = (await findOwners(new Set([inode]), options)).get(inode)
  expect(owner).toMatchObject({ pid: puppet.pid, command: 'node' })
  if (owner === undefined) return
  expect(await stillHolds(owner, inode)).toBe(true)
  await puppet.close()
  expect(await stillHolds(owner, inode)).toBe(false)
})

test('of a server that has forked the eldest process counts', async () => {
  const program = `
import os, socket, time
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
if os.fork() == 0:
    print(s.getsockname()[1], flush=True); time.sleep(600)
os.wait()`
  const child = spawn('python3', ['-c', program], { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const inode = await inodeOf(Number(line))
  const owner = (await findOwners(new Set([inode]), options)).get(inode)
  process.kill(-(child.pid ?? 0), 'SIGKILL')
  await ended(child)
  expect(owner).toMatchObject({ pid: child.pid, command: 'python3' })
})

test('what no process holds is not found, and what is asked for beside it is', async () => {
  await using server = await serve(() => {})
  const inode = await inodeOf(server.port)
  const found = await findOwners(new Set(['4294967295', inode]), options)
  expect([...found.keys()]).toEqual([inode])
  expect(found.get(inode)?.pid).toBe(process.pid)
})

test('a search that may not go on gives what it has', async () => {
  expect(await findOwners(new Set(['1']), { limitMs: 0, signal: options.signal })).toEqual(new Map())
  expect(await findOwners(new Set(['1']), { limitMs: 9_000, signal: AbortSignal.abort() })).toEqual(new Map())
})
