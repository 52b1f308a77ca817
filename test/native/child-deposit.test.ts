import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { close, SpawnFailure, spawn } from '../../src/native/index.ts'
import { socketPair } from '../_util/socket-pair.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { ended, plainSpec } from './run-process.ts'

const PUT = 1

const message = () => {
  const bytes = Buffer.alloc(24)
  bytes.writeUInt32LE(PUT, 0)
  bytes.writeUInt32LE(77, 8)
  return bytes
}

test('a process says who it is before it runs its program', async () => {
  await using dir = await makeTmpDir()
  const { client, peer, socket } = await socketPair(dir.path)
  const received: Buffer[] = []
  peer.on('data', (bytes) => received.push(bytes))
  const bytes = () => Buffer.concat(received)
  const deposit = { socket, message: message(), descriptors: [0, -1] }
  const child = await spawn({ ...plainSpec, file: 'true', deposit })
  expect(child.deposited).toBe(true)
  await ended(child)
  await expect.poll(() => bytes().length).toBe(24)
  expect([bytes().readUInt32LE(0), bytes().readInt32LE(4), bytes().readUInt32LE(8)]).toEqual([PUT, child.pid, 77])
  client.destroy()
  peer.destroy()
  close(socket)
})

test('a program does not run when nobody is there any more who could know of it', async () => {
  await using dir = await makeTmpDir()
  const { client, peer, socket } = await socketPair(dir.path)
  peer.destroy()
  await once(client.resume(), 'close')
  const file = join(dir.path, 'ran')
  const deposit = { socket, message: message(), descriptors: [-1] }
  const failure = await spawn({ ...plainSpec, file: 'touch', args: [file], deposit }).catch((error) => error)
  expect(failure).toBeInstanceOf(SpawnFailure)
  expect(failure).toMatchObject({ stage: 'keeper', code: 'EPIPE' })
  expect(existsSync(file)).toBe(false)
  close(socket)
})
