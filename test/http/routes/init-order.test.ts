import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createHost } from '../../../src/init/host/create.ts'
import type { FrozenWorkload } from '../../../src/init/initialization.ts'
import { createDefaults } from '../../../src/users/defaults.ts'
import { VERSION } from '../../../src/version.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { startFront } from '../front.ts'
import { at, envOf, init, now } from '../init-calls.ts'

const AUDIT = '{"visited":3,"frozen":2,"escaped":0,"violations":0,"truncated":false}'
const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'

/** A front whose freeze notes what it is asked, and a host with files of its own. */
async function startRig({ certificates = true, audit = AUDIT }: { certificates?: boolean; audit?: string } = {}) {
  const tmp = await makeTmpDir()
  const paths = {
    hosts: join(tmp.path, 'hosts'),
    certificates: join(tmp.path, 'certificates.crt'),
    installedBundle: join(tmp.path, 'share', 'bundle.crt'),
  }
  await writeFile(paths.hosts, '127.0.0.1 localhost\n')
  if (certificates) await writeFile(paths.certificates, 'others\n')
  await mkdir(join(tmp.path, 'bin'))
  const defaults = createDefaults({ user: 'root', workdir: undefined, notFirecracker: true })
  const { log, lines } = recordingLog()
  const host = createHost({ path: join(tmp.path, 'bin'), env: defaults.env, log, paths })
  const asked: string[] = []
  const note = (what: string) => {
    const { env, user } = defaults
    asked.push(`${what} user=${user} A=${env.all().get('A') ?? ''} initialized=${front.initialization.initialized}`)
  }
  const frozen: FrozenWorkload = {
    audit: async () => {
      note('audit')
      return audit === '' ? undefined : audit
    },
    thaw: async () => {
      note('thaw')
      return true
    },
    generation: 0,
    idle: async () => {},
  }
  const front = await startFront({ defaults, host, frozen })
  return {
    ...front,
    asked,
    lines,
    certificates: () => readFile(paths.certificates, 'utf8'),
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]()
      await host.close()
      await tmp[Symbol.asyncDispose]()
    },
  }
}

const APPLIED = { envVars: { A: '1' }, defaultUser: 'user' }
const BEFORE = 'audit user=root A= initialized=false'

test('F3 F10 F23 K8 N32 the audit comes after the token and before anything is applied, the thaw at the end, then the answer', async () => {
  await using front = await startRig()
  expect(await init(front, APPLIED)).toMatchObject({ status: 204, headers: { 'x-envd-freeze-audit': AUDIT } })
  expect(front.asked).toEqual([BEFORE, 'thaw user=user A=1 initialized=true'])
})

test('F3 without such a freeze there is no audit', async () => {
  await using front = await startRig({ audit: '' })
  expect((await init(front, {})).headers).not.toHaveProperty('x-envd-freeze-audit')
})

test('F10 F22 a stale timestamp applies nothing, but thaws and counts as an initialization', async () => {
  await using front = await startRig()
  const stale = await init(front, { ...APPLIED, timestamp: '1969-12-31T23:59:59Z' })
  expect(stale).toMatchObject({ status: 204, headers: { 'x-envd-freeze-audit': AUDIT } })
  expect(front.asked).toEqual([BEFORE, 'thaw user=root A= initialized=true'])
})

test('F10 a refused token neither thaws nor reports the freeze', async () => {
  await using front = await startRig()
  front.token.set('secret')
  const refused = await init(front, { ...APPLIED, accessToken: 'wrong' })
  expect(refused).toMatchObject({ status: 401, headers: { 'x-envd-version': VERSION } })
  expect(refused.headers).not.toHaveProperty('x-envd-freeze-audit')
  expect(front.asked).toEqual([])
})

test('F4 F10 what cannot be read is refused before the token is judged, and thaws nothing', async () => {
  await using front = await startRig()
  expect((await init(front, '{')).status).toBe(400)
  expect(front.asked).toEqual([])
})

const IMPOSSIBLE = [
  ['certificates where there is no bundle', { caBundle: PEM }, 'failed to install CA bundle: open CA bundle: '],
  ['a volume without a target', { volumeMounts: [{ path: '/mnt/v' }] }, 'failed to setup NFS volumes: '],
  [
    'a volume that is not absolute',
    { volumeMounts: [{ nfs_target: 'host:/v', path: 'mnt/v' }] },
    'failed to setup NFS volumes: ',
  ],
] as const

test.each(IMPOSSIBLE)('F10 F17 F19 F20 F22 %s: nothing is applied, the freeze ends', async (_, body, message) => {
  await using front = await startRig({ certificates: false })
  const time = now() + 3_600_000_000_000n
  const answer = await init(front, { ...APPLIED, ...body, accessToken: 'secret', timestamp: at(time) })
  expect(answer).toMatchObject({ status: 400, headers: { 'x-envd-version': VERSION, 'x-envd-freeze-audit': AUDIT } })
  expect(JSON.parse(answer.text)).toEqual({ code: 400, message: expect.stringContaining(message) })
  expect(front.asked).toEqual([BEFORE, 'thaw user=root A= initialized=false'])
  expect(envOf(front)).toEqual({ E2B_SANDBOX: 'false' })
  expect(front.token.isSet).toBe(false)
  expect(front.clockSettings).toEqual([])
  expect((await init(front, { ...APPLIED, timestamp: at(time - 1n) })).status).toBe(204)
  expect(envOf(front)).toEqual({ A: '1', E2B_SANDBOX: 'false' })
})

test('F20 a volume that fails after all leaves the rest applied, and the same call again is not stale', async () => {
  await using front = await startRig()
  // There is no mount(8) in the PATH of this host.
  const volumeMounts = [{ nfs_target: '10.0.0.1:/v', path: '/no/such/place' }]
  const timestamp = at(now())
  const answer = await init(front, { ...APPLIED, volumeMounts, lifecycleID: 'l', timestamp })
  expect(JSON.parse(answer.text)).toEqual({
    code: 400,
    message: expect.stringMatching(/^failed to setup NFS volumes: /),
  })
  expect(front.asked.at(-1)).toBe('thaw user=user A=1 initialized=false')
  expect((await init(front, { envVars: { A: '2' }, timestamp })).status).toBe(204)
  expect(envOf(front)).toEqual({ A: '2', E2B_SANDBOX: 'false' })
})

test('F16 F17 certificates and the events service are set with the rest', async () => {
  await using front = await startRig()
  const body = { ...APPLIED, caBundle: PEM, hyperloopIP: '10.1.2.3', timestamp: at(now()) }
  expect((await init(front, body)).status).toBe(204)
  expect(await front.certificates()).toContain(PEM)
  await expect.poll(() => envOf(front)['E2B_EVENTS_ADDRESS'] ?? front.lines).toBe('http://10.1.2.3')
})

test('F11 F16 F17 a stale call changes nothing on the machine', async () => {
  await using front = await startRig()
  expect((await init(front, { timestamp: at(now()) })).status).toBe(204)
  const body = { caBundle: PEM, hyperloopIP: '10.1.2.3', volumeMounts: [{}], timestamp: at(now() - 60_000_000_000n) }
  expect((await init(front, body)).status).toBe(204)
  expect(await front.certificates()).toBe('others\n')
  expect(envOf(front)).toEqual({ E2B_SANDBOX: 'false' })
})
