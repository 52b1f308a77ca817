import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { listed, statesOf } from './ports-client.ts'
import { ended, startPuppet } from './puppet.ts'
import { connected, received } from './sockets.ts'

/** Any address of 127.0.0.0/8 serves; this one is used by no other test. */
const HERE = '127.0.21.3'
const daemon = sharedDaemon({ args: ['-forward-address', HERE] })

/** Above the second that is promised, for a machine that is busy with other tests. */
const SOON = { interval: 50 }

test('G1 python -m http.server --bind 127.0.0.1 becomes reachable on the forwarding address', async () => {
  await using dir = await makeTmpDir()
  const args = ['-u', '-m', 'http.server', '--bind', '127.0.0.1', '--directory', dir.path, '0']
  const server = spawn('python3', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const [line] = await once(createInterface({ input: server.stdout }), 'line')
    const port = Number(/port (\d+)/.exec(String(line))?.[1])
    await expect.poll(() => status(`http://${HERE}:${port}/`), SOON).toBe(200)
    expect(await listed(daemon.url, port)).toEqual([
      {
        port,
        address: '127.0.0.1',
        family: 'FAMILY_IPV4',
        pid: server.pid,
        command: 'python3',
        user: expect.any(String),
        since: expect.stringMatching(/^20/),
        forwarded: true,
        forwardAddress: `${HERE}:${port}`,
        state: `bound to 127.0.0.1, forwarded to ${HERE}:${port}`,
        inode: expect.stringMatching(/^\d+$/),
        args: expect.arrayContaining(['http.server', '--bind']),
      },
    ])
  } finally {
    await ended(server)
  }
})

test('G1 a development server on ::1, as vite listens, becomes reachable on the forwarding address', async () => {
  await using vite = await startPuppet('vite')
  const port = await vite.listen('::1')
  await expect.poll(() => received(HERE, port), SOON).toBe('from vite\n')
  expect(await statesOf(daemon.url, port)).toEqual([`bound to ::1, forwarded to ${HERE}:${port}`])
})

test('G1 127.0.0.1 as Java binds it, mapped into IPv6, becomes reachable too', async () => {
  await using java = await startPuppet('java')
  const port = await java.listen('::ffff:127.0.0.1')
  await expect.poll(() => received(HERE, port), SOON).toBe('from java\n')
})

test.each([
  ['0.0.0.0', 'reachable on all addresses'],
  ['::', 'reachable on all addresses'],
  ['127.0.0.2', 'not forwarded: bound to 127.0.0.2, only 127.0.0.1 and ::1 are forwarded'],
])('G1 a listener on %s is not forwarded: "%s"', async (address, state) => {
  await using puppet = await startPuppet('p')
  const port = await puppet.listen(address)
  const [listener, ...others] = await listed(daemon.url, port)
  expect(others).toEqual([])
  expect(listener?.state).toBe(state)
  expect(listener).not.toHaveProperty('forwarded')
})

test('G3 K30 the forward of a listener that dies is gone: connections are refused, as a proxy has to see it', async () => {
  await using puppet = await startPuppet('p')
  const port = await puppet.listen('127.0.0.1')
  await expect.poll(() => received(HERE, port), SOON).toBe('from p\n')
  await puppet.kill()
  await expect.poll(() => connected(HERE, port).catch((error) => error.code), SOON).toBe('ECONNREFUSED')
  expect(await listed(daemon.url, port)).toEqual([])
})

test('G4 a port that the same process closes and opens again is forwarded again', async () => {
  await using puppet = await startPuppet('p')
  const port = await puppet.listen('127.0.0.1')
  for (let round = 0; round < 3; round++) {
    await expect.poll(() => received(HERE, port), SOON).toBe('from p\n')
    await puppet.close()
    await expect.poll(() => connected(HERE, port).catch((error) => error.code), SOON).toBe('ECONNREFUSED')
    await puppet.listen('127.0.0.1', port)
  }
})

test('G4 a port that another process opens at once stays forwarded, to that one', async () => {
  await using first = await startPuppet('first')
  await using second = await startPuppet('second')
  const port = await first.listen('127.0.0.1')
  await expect.poll(() => received(HERE, port), SOON).toBe('from first\n')
  await first.close()
  await second.listen('127.0.0.1', port)
  await expect.poll(() => received(HERE, port), SOON).toBe('from second\n')
  expect(await listed(daemon.url, port)).toMatchObject([{ pid: second.pid, forwarded: true }])
})

test('G5 one process on both 127.0.0.1 and ::1 has one forward', async () => {
  await using puppet = await startPuppet('p')
  const port = await puppet.listen('::1')
  await puppet.listen('127.0.0.1', port)
  await expect.poll(() => received(HERE, port), SOON).toBe('from p\n')
  const at = `forwarded to ${HERE}:${port}`
  expect(await statesOf(daemon.url, port)).toEqual([`bound to 127.0.0.1, ${at}`, `bound to ::1, ${at}`])
  // The first seen closes; the other takes its place.
  await puppet.close()
  await expect.poll(() => statesOf(daemon.url, port), SOON).toEqual([`bound to 127.0.0.1, ${at}`])
  expect(await received(HERE, port)).toBe('from p\n')
})

test('G4 a forwarding address on which another process listens is logged, and forwarded once it is free', async () => {
  await using puppet = await startPuppet('p')
  await using rival = await startPuppet('rival')
  const port = await rival.listen(HERE)
  await puppet.listen('127.0.0.1', port)
  const taken = `not forwarded: ${HERE}:${port} is in use by another listener`
  expect(await statesOf(daemon.url, port)).toEqual([taken])
  await rival.close()
  await expect.poll(() => received(HERE, port), SOON).toBe('from p\n')
})

test('G6 a daemon that stops takes its forwards along, with open connections', async () => {
  await using other = await startDaemon({ args: ['-forward-address', '127.0.21.4'] })
  await using puppet = await startPuppet('p')
  const port = await puppet.listen('127.0.0.1')
  await expect.poll(() => received('127.0.21.4', port), SOON).toBe('from p\n')
  await other.stop()
  await expect(connected('127.0.21.4', port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('G7 a client that tries five times in a second or two, as a proxy does, reaches a listener that is new', async () => {
  await using puppet = await startPuppet('p')
  const port = await puppet.listen('127.0.0.1')
  await expect.poll(() => received(HERE, port), { interval: 400 }).toBe('from p\n')
})

test("G8 the daemon's own port is not forwarded, though it is bound to loopback", async () => {
  const port = Number(new URL(daemon.url).port)
  expect(await listed(daemon.url, port)).toMatchObject([
    { address: '127.0.0.1', pid: daemon.pid, command: 'envd', state: "not forwarded: the port is the daemon's own" },
  ])
  await expect(connected(HERE, port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('G8 what the daemon listens on for its forwards is neither listed nor forwarded', async () => {
  await using puppet = await startPuppet('p')
  const port = await puppet.listen('127.0.0.1')
  await expect.poll(() => received(HERE, port), SOON).toBe('from p\n')
  expect((await listed(daemon.url, port, HERE)).map(({ address }) => address)).toEqual(['127.0.0.1'])
})

async function status(url: string): Promise<number> {
  return fetch(url).then(
    (response) => response.status,
    () => 0,
  )
}
