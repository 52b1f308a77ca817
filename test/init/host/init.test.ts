import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, type TestContext, test, vi } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { needsNamespace } from '../../_util/namespace.ts'
import { shell } from '../../_util/rpc.ts'
import { makeTmpDir, type TmpDir } from '../../_util/tmp-dir.ts'
import { bundle } from './bundle.ts'
import { type MountPrograms, makeMountPrograms } from './mount-programs.ts'

const launcher = fileURLToPath(new URL('../../../scripts/envd', import.meta.url))
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'
const INSTALLED = '/usr/local/share/ca-certificates/e2b-ca.crt'

interface Machine {
  readonly url: string
  /** A file as the daemon sees it. */
  readonly path: (path: string) => string
  readonly read: (path: string) => Promise<string>
  readonly output: () => string
  readonly programs: MountPrograms
}

/** A daemon whose /etc, /usr/local/share and mounts are its own. */
async function startMachine(context: TestContext, directory: TmpDir): Promise<Machine> {
  const programs = await makeMountPrograms(directory)
  const own = ['/etc', '/usr/local/share'].map(
    (path) => `mkdir -p ${directory.path}/own${path} && cp -a ${path}/. ${directory.path}/own${path} &&
      /usr/bin/mount --bind ${directory.path}/own${path} ${path}`,
  )
  const flags = ['-port', '0', '-address', '127.0.0.1', '-run-dir', join(directory.path, 'run')]
  const more = ['-isnotfc', '-kill-on-exit', '-verbose']
  const script = `${own.join(' && ')} && exec "$0" "$@"`
  const child = spawn('unshare', ['--mount', 'sh', '-c', script, launcher, ...flags, ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: `${programs.path}:${process.env['PATH']}`, HOME: '/root' },
  })
  context.onTestFinished(async () => {
    child.kill('SIGTERM')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const url = await vi.waitUntil(() => /listening on (http:\/\/\S+)/.exec(output)?.[1], { timeout: 20_000 })
  const path = (inside: string) => `/proc/${child.pid}/root${inside}`
  return { url, path, read: (inside) => readFile(path(inside), 'utf8'), output: () => output, programs }
}

const init = (url: string, body: object) => sendWhole(`${url}/init`, { method: 'POST', body: JSON.stringify(body) })

test('F16 an initialization tells commands where the events service is, and makes its name known', async (context) => {
  needsNamespace(context)
  await using directory = await makeTmpDir()
  const { url, read } = await startMachine(context, directory)
  const before = await read('/etc/hosts')
  const address = async () =>
    (await shell(url, 'echo $E2B_EVENTS_ADDRESS; getent hosts events.e2b.local')).stdout.toString()
  expect((await init(url, { hyperloopIP: '192.0.2.9' })).status).toBe(204)
  await expect.poll(address).toMatch(/^http:\/\/192\.0\.2\.9\n192\.0\.2\.9\s+events\.e2b\.local\n$/)
  expect((await init(url, { hyperloopIP: '192.0.2.10' })).status).toBe(204)
  await expect.poll(address).toMatch(/^http:\/\/192\.0\.2\.10\n192\.0\.2\.10\s/)
  expect(await read('/etc/hosts')).toBe(`${before}192.0.2.10\tevents.e2b.local\n`)
  expect((await init(url, { hyperloopIP: 'nonsense' })).status).toBe(204)
  expect(await address()).toMatch(/^http:\/\/192\.0\.2\.10\n/)
})

test('F17 an initialization makes the machine trust its bundle at once, and keeps it where the system looks', async (context) => {
  needsNamespace(context)
  await using directory = await makeTmpDir()
  const { url, path, read, output } = await startMachine(context, directory)
  const system = '# the system\n'
  await writeFile(path(CERTIFICATES), system)
  expect((await init(url, { caBundle: bundle(1) })).status).toBe(204)
  expect(await read(CERTIFICATES)).toBe(system + bundle(1))
  await expect.poll(() => read(INSTALLED).catch(() => '')).toBe(bundle(1))
  expect((await init(url, { caBundle: bundle(1) })).status).toBe(204)
  expect((await init(url, { caBundle: bundle(2) })).status).toBe(204)
  await expect.poll(() => read(CERTIFICATES)).toBe(system + bundle(2))
  expect(output()).not.toMatch(/CERTIFICATE-|[A-Za-z0-9+/]{60}/)
})

test('F17 F20 a bundle that cannot be installed leaves the whole request undone', async (context) => {
  needsNamespace(context)
  await using directory = await makeTmpDir()
  const { url, path } = await startMachine(context, directory)
  await rm(path(CERTIFICATES))
  const refused = await init(url, { caBundle: bundle(1), envVars: { SET: 'yes' }, accessToken: 'token' })
  expect(refused.status).toBe(400)
  expect(refused.text).toContain(
    `failed to install CA bundle: open CA bundle: open ${CERTIFICATES}: no such file or directory`,
  )
  expect((await shell(url, 'echo "$SET."')).stdout.toString()).toBe('.\n')
})

test('F19 an initialization mounts its volumes before it answers, and reports why it cannot', async (context) => {
  needsNamespace(context)
  await using directory = await makeTmpDir()
  const { url, programs } = await startMachine(context, directory)
  const volumes = (...targets: string[]) =>
    targets.map((nfs_target, index) => ({ nfs_target, path: join(directory.path, `volume-${index}`) }))
  const mounted = async () => (await shell(url, 'grep -o "^s:.*/volume-. " /proc/self/mounts')).stdout.toString()
  expect((await init(url, { volumeMounts: volumes('s:/1', 's:/2'), lifecycleID: 'one' })).status).toBe(204)
  expect((await mounted()).split('\n').sort().join('|')).toMatch(/^\|s:\/1 \S+\/volume-0 \|s:\/2 \S+\/volume-1 $/)
  const calls = (await programs.calls()).length
  expect((await init(url, { volumeMounts: volumes('s:/1', 's:/2'), lifecycleID: 'one' })).status).toBe(204)
  expect(await programs.calls()).toHaveLength(calls)
  const refused = await init(url, { volumeMounts: volumes('fail:/1'), lifecycleID: 'two' })
  expect(refused.status).toBe(400)
  expect(refused.text).toContain('failed to setup NFS volumes: ')
  expect(refused.text).toContain('mount: exit status 32: mount.nfs: access denied by server while mounting fail:/1')
  expect((await init(url, { volumeMounts: volumes('s:/3'), lifecycleID: 'two' })).status).toBe(204)
  expect(await mounted()).toMatch(/s:\/3 \S+\/volume-0 /)
})

test('F19 a client that goes away does not end the mounting', async (context) => {
  needsNamespace(context)
  await using directory = await makeTmpDir()
  const { url, programs } = await startMachine(context, directory)
  const [first, second] = ['a', 'b'].map((name) => ({ nfs_target: `meet:2/${name}`, path: join(directory.path, name) }))
  const leaving = new AbortController()
  const body = JSON.stringify({ volumeMounts: [first], lifecycleID: 'one' })
  const gone = sendWhole(`${url}/init`, { method: 'POST', body, signal: leaving.signal })
  gone.catch(() => {})
  await expect.poll(async () => (await programs.calls()).map(([name]) => name)).toEqual(['findmnt', 'mount'])
  leaving.abort()
  await expect(gone).rejects.toThrow()
  await writeFile(join(directory.path, 'meeting/other'), '')
  expect((await init(url, { volumeMounts: [first], lifecycleID: 'one' })).status).toBe(204)
  expect((await programs.calls()).map(([name]) => name)).toEqual(['findmnt', 'mount'])
  expect((await init(url, { volumeMounts: [first, second], lifecycleID: 'one' })).status).toBe(204)
  expect((await programs.calls()).map(([name]) => name)).toEqual(['findmnt', 'mount', 'findmnt', 'mount'])
})
