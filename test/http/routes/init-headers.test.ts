import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import type { HostSetup } from '../../../src/init/application.ts'
import type { FrozenWorkload } from '../../../src/init/initialization.ts'
import { NO_MMDS } from '../../../src/init/mmds/mmds.ts'
import { type Front, NO_MEMORY, startFront } from '../front.ts'
import { at, envOf, init, now } from '../init-calls.ts'

/** A freeze that the test plays; `generation` may be raised at any time. */
function playedFreeze() {
  const thaws: number[] = []
  const entered = { calls: 0 }
  const frozen: FrozenWorkload & { generation: number } = {
    generation: 0,
    idle: async () => {
      entered.calls += 1
    },
    audit: async () => undefined,
    thaw: async (generation) => {
      if (generation !== frozen.generation) return false
      thaws.push(generation)
      return true
    },
  }
  return { frozen, thaws, entered }
}

/** A machine whose volumes are ready when the test says so. */
function slowMachine() {
  const begun = Promise.withResolvers<void>()
  const ready = Promise.withResolvers<void>()
  const machine: HostSetup = {
    hyperloop: { set: async () => {} },
    caBundle: { check: async () => {}, install: async () => {} },
    volumes: {
      check: () => {},
      mount: async () => {
        begun.resolve()
        await ready.promise
      },
    },
  }
  return { machine, begun: begun.promise, ready: ready.resolve }
}

const volumeMounts = [{ nfs_target: 'host:/v', path: '/v' }]

/** Sends the head of a call; `finish` the body. */
async function withheld(front: Front, body: unknown) {
  const text = JSON.stringify(body)
  const socket = connect(front.port, '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  socket.write(`POST /init HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n`)
  let answer = ''
  socket.setEncoding('latin1').on('data', (bytes: string) => {
    answer += bytes
  })
  return {
    leave: () => void socket.destroy(),
    finish: async () => {
      socket.write(text)
      await once(socket, 'close')
      return answer.toLowerCase()
    },
  }
}

test('N7 thaw: skip leaves the freeze in effect, and is said on every answer after the token', async () => {
  const { frozen, thaws } = playedFreeze()
  await using front = await startFront({ frozen })
  const skipped = await init(front, { thaw: 'skip', envVars: { A: '1' } })
  expect(skipped).toMatchObject({ status: 204, headers: { 'x-envd-thaw': 'skip' } })
  expect(envOf(front)).toMatchObject({ A: '1' })
  expect(thaws).toEqual([])
  for (const thaw of [undefined, 'inline', 'SKIP', '']) {
    const answer = await init(front, { thaw })
    expect(answer.status).toBe(204)
    expect(answer.headers).not.toHaveProperty('x-envd-thaw')
  }
  expect(thaws).toHaveLength(4)
  expect((await init(front, { thaw: 1 })).status).toBe(400)
  front.token.set('secret')
  const refused = await init(front, { thaw: 'skip', accessToken: 'wrong' })
  expect(refused.status).toBe(401)
  expect(refused.headers).not.toHaveProperty('x-envd-thaw')
})

test('N7 an error after the token says thaw: skip as well, and thaws nothing', async () => {
  const { frozen, thaws } = playedFreeze()
  const machine: HostSetup = {
    ...slowMachine().machine,
    caBundle: { check: () => Promise.reject(new AppError('invalid_argument', 'no bundle')), install: async () => {} },
  }
  await using front = await startFront({ frozen, host: machine })
  const failed = await init(front, { thaw: 'skip', caBundle: 'x', timestamp: at(now()) })
  expect(failed).toMatchObject({ status: 400, headers: { 'x-envd-thaw': 'skip' } })
  expect(failed.headers).toHaveProperty('x-envd-init-clock-correction')
  expect(thaws).toEqual([])
})

test('N8 N43 a call that entered before a freeze does not end it, one that enters after does', async () => {
  const { frozen, thaws, entered } = playedFreeze()
  await using front = await startFront({ frozen })
  await init(front, {})
  const late = await withheld(front, { envVars: { A: '1' } })
  await expect.poll(() => entered.calls).toBe(2)
  frozen.generation += 1
  expect(await late.finish()).toContain('http/1.1 204')
  expect(envOf(front)).toMatchObject({ A: '1' })
  expect(thaws).toEqual([0])
  expect(front.logged).toContainEqual(expect.objectContaining({ message: expect.stringContaining('a freeze began') }))
  await init(front, {})
  expect(thaws).toEqual([0, 1])
})

test('N9 a caller that withholds its body delays no other', async () => {
  await using front = await startFront()
  front.token.set('secret')
  const callers = await Promise.all(Array.from({ length: 50 }, () => withheld(front, { accessToken: 'wrong' })))
  expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
  for (const { leave } of callers) leave()
})

test('N10 a timestamp is moved forward by the time that the call waited, and the header says by how much', async () => {
  const { machine, begun, ready } = slowMachine()
  let waiting = 0
  const metadata = {
    look: () => {
      waiting += 1
      return NO_MMDS.look()
    },
  }
  await using front = await startFront({ host: machine, metadata })
  const first = init(front, { volumeMounts })
  await begun
  const later = now() + 3_600_000_000_000n
  const second = init(front, { timestamp: at(later) })
  await expect.poll(() => waiting).toBe(2)
  await delay(150)
  ready()
  expect((await first).headers).not.toHaveProperty('x-envd-init-clock-correction')
  const { headers } = await second
  expect(headers['x-envd-init-clock-correction']).toMatch(/^\d+$/)
  const moved = Number(headers['x-envd-init-clock-correction'])
  expect(moved).toBeGreaterThanOrEqual(100)
  const [setting = 0n] = front.clockSettings
  expect(setting - later).toBeGreaterThanOrEqual(BigInt(moved) * 1_000_000n)
  expect(setting - later).toBeLessThan(BigInt(moved + 1000) * 1_000_000n)
})

test('N10 a stale call has the header, one without a timestamp or the right token has not', async () => {
  await using front = await startFront()
  await init(front, { accessToken: 'secret', timestamp: at(now()) })
  const headersOf = async (body: object) => Object.keys((await init(front, body)).headers)
  const header = 'x-envd-init-clock-correction'
  expect(await headersOf({ accessToken: 'secret', timestamp: '2001-01-01T00:00:00Z' })).toContain(header)
  expect(await headersOf({ accessToken: 'secret' })).not.toContain(header)
  expect(await headersOf({ accessToken: 'wrong', timestamp: at(now()) })).not.toContain(header)
})

test('N11 calls that thawed for a client that had left are counted until an answer says so, or a freeze', async () => {
  const { frozen } = playedFreeze()
  const unobserved = async (front: Front, body: object = {}) =>
    (await init(front, body)).headers['x-envd-init-unobserved']
  const { machine, begun, ready } = slowMachine()
  await using front = await startFront({ frozen, host: machine })
  expect(await unobserved(front)).toBe('0')
  const leaver = await withheld(front, { volumeMounts })
  leaver.finish().catch(() => {})
  await begun
  leaver.leave()
  await expect.poll(() => front.listener.openConnections).toBe(0)
  ready()
  expect(await unobserved(front)).toBe('1')
  expect(await unobserved(front)).toBe('0')

  const again = slowMachine()
  await using other = await startFront({ frozen, host: again.machine })
  const second = await withheld(other, { volumeMounts })
  second.finish().catch(() => {})
  await again.begun
  second.leave()
  await expect.poll(() => other.listener.openConnections).toBe(0)
  again.ready()
  await expect.poll(() => other.initialization.initialized).toBe(true)
  frozen.generation += 1
  expect(await unobserved(other)).toBe('0')
})

test('N12 a success has the defaults in force, and whether a user was ever set', async () => {
  await using front = await startFront()
  const defaults = async (body: object) => (await init(front, body)).headers['x-envd-defaults']
  expect(await defaults({})).toBe('{"user":"root","fallback":true}')
  expect(await defaults({ defaultWorkdir: '/tmp/ü\n' })).toBe(
    '{"user":"root","workdir":"/tmp/\\u00fc\\n","fallback":true}',
  )
  expect(await defaults({ defaultUser: 'root' })).toContain('"user":"root"')
  expect(await defaults({ defaultUser: '' })).toContain('"fallback":false')
  expect(await defaults({ cpuCount: 'x' })).toBeUndefined()
  // More than callers take is not reported.
  expect(await defaults({ defaultWorkdir: `/${'x'.repeat(9000)}` })).toBeUndefined()
})

test('N13 N14 F1 every answer reports the memory that is kept and the version', async () => {
  await using front = await startFront()
  front.token.set('secret')
  for (const [body, status] of [
    [{ accessToken: 'secret' }, 204],
    ['{', 400],
    [{}, 401],
    ['x'.repeat(4 * 1024 * 1024 + 1), 413],
  ] as const)
    expect(await init(front, body)).toMatchObject({
      status,
      headers: { 'x-envd-memory': NO_MEMORY, 'x-envd-version': expect.any(String) },
    })
})

test('N14 F24 a body of 3 MB is taken', async () => {
  await using front = await startFront()
  const value = 'x'.repeat(1000)
  const envVars = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`V${i}`, value]))
  expect((await init(front, { envVars })).status).toBe(204)
  expect(envOf(front)['V2999']).toBe(value)
})

test('N6 every success reports the CPUs, and the one that was refused also why', async () => {
  const asked: number[] = []
  const cpus = {
    request: async (count: number) => {
      asked.push(count)
      return count > 4 ? `cpu target ${count} outside 1..4` : undefined
    },
    figures: () => ({ online: 2, possible: 4, target: asked.at(-1) ?? 0 }),
  }
  await using front = await startFront({ cpus })
  const reported = async (body: object) => (await init(front, body)).headers['x-envd-cpus']
  expect(await reported({})).toBe('{"online":2,"possible":4,"target":0}')
  expect(await reported({ cpuCount: 3, timestamp: at(now()) })).toBe('{"online":2,"possible":4,"target":3}')
  expect(await reported({ cpuCount: 9 })).toBe(
    '{"online":2,"possible":4,"target":9,"rejected":"cpu target 9 outside 1..4"}',
  )
  expect(front.logged).toContainEqual(expect.objectContaining({ level: 'warn', count: 9 }))
  // A stale call sets nothing.
  await reported({ cpuCount: 1, timestamp: '2001-01-01T00:00:00Z' })
  expect(asked).toEqual([3, 9])
  for (const cpuCount of ['4', 1.5, true, {}, 1e300]) expect((await init(front, { cpuCount })).status).toBe(400)
  expect(await reported({ cpuCount: null })).not.toContain('rejected')
})

test('N15 the token is judged before any call has succeeded, and a refused one does not count as the first', async () => {
  await using front = await startFront()
  front.token.set('secret')
  expect((await init(front, { accessToken: 'wrong' })).status).toBe(401)
  expect(front.initialization.initialized).toBe(false)
  expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
  expect(front.initialization.initialized).toBe(true)
})

test('N34 the metadata service is looked at once for each call', async () => {
  const looks = { count: 0 }
  const look = () => {
    looks.count += 1
    return { tokenHash: Promise.resolve(''), refresh: async () => {} }
  }
  await using front = await startFront({ metadata: { look } })
  for (let call = 1; call <= 3; call++) {
    await init(front, {})
    expect(looks.count).toBe(call)
  }
})
