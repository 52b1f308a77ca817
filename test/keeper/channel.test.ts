import { expect, test } from 'vitest'
import { Channel } from '../../src/keeper/channel.ts'
import { decode, MESSAGE_BYTES } from '../../src/keeper/protocol.ts'
import { socketPair } from '../_util/socket-pair.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const message = (key: number) => ({ type: 4, pid: 0, key, status: 0, value: 0 })

test('what is said together is sent in its order when the work has returned or thrown, behind what it was said with', async () => {
  await using dir = await makeTmpDir()
  const { client, peer, socket } = await socketPair(dir.path)
  const received: Buffer[] = []
  peer.on('data', (bytes) => received.push(bytes))
  const keys = () => {
    const bytes = Buffer.concat(received)
    const at = Array.from({ length: bytes.length / MESSAGE_BYTES }, (_, index) => index * MESSAGE_BYTES)
    return at.map((from) => decode(bytes.subarray(from, from + MESSAGE_BYTES), MESSAGE_BYTES)?.key)
  }
  const channel = new Channel(
    socket,
    () => {},
    () => {},
  )
  channel.together(() => {
    channel.send(message(1))
    channel.send(message(2))
    // A descriptor: it cannot wait, and what was said before comes before.
    channel.send(message(3), [0])
    channel.send(message(4))
  })
  const failing = () =>
    channel.together(() => {
      channel.send(message(5))
      throw new Error('work')
    })
  expect(failing).toThrow('work')
  channel.send(message(6))
  await expect.poll(keys).toEqual([1, 2, 3, 4, 5, 6])
  channel.close()
  client.destroy()
  peer.destroy()
})

test('messages of together that find the keeper stopped wait, and none is lost or out of order', async () => {
  await using dir = await makeTmpDir()
  const { client, peer, socket } = await socketPair(dir.path)
  peer.pause()
  let lost = 0
  const channel = new Channel(
    socket,
    () => {},
    () => lost++,
  )
  let said = 0
  while (channel.sent() === undefined) {
    channel.together(() => {
      for (let i = 0; i < 100; i++) channel.send(message(said++))
    })
  }
  channel.send(message(said++))
  const received: Buffer[] = []
  peer.on('data', (bytes) => received.push(bytes))
  peer.resume()
  const length = () => received.reduce((sum, { length }) => sum + length, 0)
  await expect.poll(length).toBe(said * MESSAGE_BYTES)
  const bytes = Buffer.concat(received)
  for (let i = 0; i < said; i++)
    expect(decode(bytes.subarray(i * MESSAGE_BYTES, (i + 1) * MESSAGE_BYTES), MESSAGE_BYTES)?.key).toBe(i)
  expect(lost).toBe(0)
  channel.close()
  client.destroy()
  peer.destroy()
})
