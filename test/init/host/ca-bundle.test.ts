import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createCaBundle } from '../../../src/init/host/ca-bundle.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { needsNamespace } from '../../_util/namespace.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { bundle, certificate } from './bundle.ts'
import { install, makePlace, SYSTEM } from './ca-place.ts'

const run = promisify(execFile)

test('F17 a bundle is appended with one newline at its end before the call resolves, and kept in the background', async () => {
  await using place = await makePlace()
  const authority = place.restarted()
  await authority.check()
  await authority.install(`${bundle(1)}\n\n\n`, NEVER)
  expect(await place.read()).toBe(SYSTEM + bundle(1))
  await authority.settled()
  expect(await place.persisted()).toBe(bundle(1))
  expect((await stat(place.installed)).mode & 0o777).toBe(0o644)
  expect(await place.read()).toBe(SYSTEM + bundle(1))
})

test('F17 the same bundle again writes nothing, also after a restart', async () => {
  await using place = await makePlace()
  const authority = place.restarted()
  await install(authority, bundle(1))
  const before = await stat(place.certificates, { bigint: true })
  await install(authority, bundle(1).trimEnd())
  await install(place.restarted(), bundle(1))
  expect(await stat(place.certificates, { bigint: true })).toMatchObject({ ino: before.ino, mtimeNs: before.mtimeNs })
  expect(await place.read()).toBe(SYSTEM + bundle(1))
})

test('F17 the bundle before is removed, also after a restart, and mode and other certificates stay', async () => {
  await using place = await makePlace()
  await install(place.restarted(), bundle(1))
  await writeFile(place.certificates, certificate(2000), { flag: 'a' })
  const authority = place.restarted()
  await install(authority, bundle(2))
  expect(await place.read()).toBe(SYSTEM + certificate(2000) + bundle(2))
  await install(authority, bundle(3))
  expect(await place.read()).toBe(SYSTEM + certificate(2000) + bundle(3))
  expect(await place.persisted()).toBe(bundle(3))
  expect((await stat(place.certificates)).mode & 0o777).toBe(0o644)
  expect((await readdir(place.directory)).sort()).toEqual(['ca-certificates.crt', 'local'])
})

test('F17 a bundle that is in the file already is not appended; one that the system lost is appended again', async () => {
  await using place = await makePlace()
  await writeFile(place.certificates, bundle(1) + SYSTEM)
  await install(place.restarted(), bundle(1))
  expect(await place.read()).toBe(bundle(1) + SYSTEM)
  expect(await place.persisted()).toBe(bundle(1))
  const authority = place.restarted()
  await writeFile(place.certificates, SYSTEM)
  await install(authority, bundle(1))
  expect(await place.read()).toBe(SYSTEM + bundle(1))
})

test.each([
  ['the old one is the beginning of the new one', certificate(1), certificate(1) + certificate(2)],
  ['the old one is the end of the new one', certificate(2), certificate(1) + certificate(2)],
  ['the new one is the beginning of the old one', certificate(1) + certificate(2), certificate(1)],
  ['the new one is the end of the old one', certificate(1) + certificate(2), certificate(2)],
  ['the new one is twice the old one', certificate(1), certificate(1) + certificate(1)],
  ['the old one is twice the new one', certificate(1) + certificate(1), certificate(1)],
])('F17 of two bundles of which one is in the other the new one stays: %s', async (_, old, next) => {
  await using place = await makePlace()
  for (const authority of [place.restarted(), place.restarted()]) {
    await install(authority, old)
    expect(await place.read()).toBe(SYSTEM + old)
    await install(authority, next)
    expect(await place.read()).toBe(SYSTEM + next)
  }
})

test('F17 bundles that repeat themselves take no longer than any other', async () => {
  await using place = await makePlace()
  const authority = place.restarted()
  const half = 'A\n'.repeat(15_000)
  await install(authority, `${half}B\n${half}`)
  const before = process.threadCpuUsage()
  await install(authority, 'A\n'.repeat(1_000_000))
  const { user, system } = process.threadCpuUsage(before)
  // The engine's own search takes some ten seconds.
  expect((user + system) / 1000).toBeLessThan(2000)
  expect(await place.read()).toBe(SYSTEM + 'A\n'.repeat(1_000_000))
})

test('F17 what is no certificate is taken as well, and a file without a last newline gets one', async () => {
  await using place = await makePlace()
  await writeFile(place.certificates, SYSTEM.trimEnd())
  const authority = place.restarted()
  await install(authority, 'no certificate')
  expect(await place.read()).toBe(`${SYSTEM}no certificate\n`)
  await install(authority, '\n\n')
  await install(authority, bundle(1))
  expect((await place.read()).replace('\n\n', '\n')).toBe(SYSTEM + bundle(1))
})

test('F17 without a file of certificates nothing is installed, and the error says so', async () => {
  await using place = await makePlace()
  const authority = place.restarted()
  const refusal = (reason: string) => ({
    kind: 'invalid_argument',
    message: `failed to install CA bundle: open CA bundle: open ${place.certificates}: ${reason}`,
  })
  await rm(place.certificates)
  await expect(authority.check()).rejects.toMatchObject(refusal('no such file or directory'))
  await expect(authority.install(bundle(1), NEVER)).rejects.toMatchObject(refusal('no such file or directory'))
  await mkdir(place.certificates)
  await expect(authority.check()).rejects.toMatchObject(refusal('is a directory'))
  await rm(place.certificates, { recursive: true })
  await run('mkfifo', [place.certificates])
  await expect(authority.check()).rejects.toMatchObject(refusal('not a regular file'))
  await rm(place.certificates)
  await expect(readFile(place.installed)).rejects.toThrow('ENOENT')
  await writeFile(place.certificates, SYSTEM)
  await install(authority, bundle(1))
  expect(await place.read()).toBe(SYSTEM + bundle(1))
})

test('F17 a disk that is full leaves the certificates as they were', async (context) => {
  needsNamespace(context)
  await using place = await makePlace()
  const disk = join(place.directory, 'disk')
  await mkdir(disk)
  await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk])
  try {
    const certificates = join(disk, 'all.crt')
    await writeFile(certificates, SYSTEM)
    const authority = createCaBundle({ certificates, installed: place.installed, log: recordingLog().log })
    await expect(authority.install(certificate(1).repeat(100), NEVER)).rejects.toMatchObject({
      message: 'failed to install CA bundle: write CA bundle: no space left on device',
    })
    expect(await readFile(certificates, 'utf8')).toBe(SYSTEM)
  } finally {
    await run('umount', [disk])
  }
})

test('F17 certificates on a tmpfs, behind a link, or on a mount of their own are kept there', async (context) => {
  needsNamespace(context)
  await using place = await makePlace()
  const ssl = join(place.directory, 'ssl')
  await mkdir(ssl)
  await run('mount', ['-t', 'tmpfs', 'tmpfs', ssl])
  try {
    const [onTmpfs, bound, link] = [join(ssl, 'all.crt'), join(ssl, 'bound.crt'), join(ssl, 'link.crt')]
    await writeFile(onTmpfs, SYSTEM)
    await writeFile(bound, '')
    await run('mount', ['--bind', place.certificates, bound])
    await symlink(onTmpfs, link)
    for (const certificates of [onTmpfs, bound, link]) {
      const installed = `${certificates}.installed`
      const authority = createCaBundle({ certificates, installed, log: recordingLog().log })
      for (const number of [1, 2, 3]) await install(authority, bundle(number))
      expect(await readFile(certificates, 'utf8')).toBe(SYSTEM + bundle(3))
      await install(authority, bundle(4))
      expect(await readFile(certificates, 'utf8')).toBe(SYSTEM + bundle(4))
      await writeFile(certificates, SYSTEM)
    }
    expect((await run('readlink', [link])).stdout.trim()).toBe(onTmpfs)
  } finally {
    await run('umount', ['--recursive', ssl])
  }
})

test('F18 a client that leaves while another installation is at work is told so, and nothing is done for it', async () => {
  await using place = await makePlace()
  const authority = place.restarted()
  await authority.install(bundle(1), NEVER)
  const gone = AbortSignal.abort(new Error('client gone'))
  await expect(authority.install(bundle(2), gone)).rejects.toMatchObject({
    kind: 'unavailable',
    message: 'CA install already in progress: context canceled',
  })
  const leaving = new AbortController()
  const waiting = authority.install(bundle(2), leaving.signal)
  leaving.abort()
  await expect(waiting).rejects.toMatchObject({ kind: 'unavailable' })
  await authority.settled()
  expect(await place.read()).toBe(SYSTEM + bundle(1))
  await install(authority, bundle(3))
  expect(await place.read()).toBe(SYSTEM + bundle(3))
})

test('F17 a hundred installations at once leave the last of them, and nothing of any is logged', async () => {
  await using place = await makePlace()
  const authority = place.restarted()
  await Promise.all(Array.from({ length: 100 }, (_, index) => authority.install(bundle(index), NEVER)))
  await authority.settled()
  expect(await place.read()).toBe(SYSTEM + bundle(99))
  expect(await place.persisted()).toBe(bundle(99))
  expect(place.lines).toHaveLength(100)
  expect(JSON.stringify(place.lines)).not.toMatch(/CERTIFICATE|[A-Za-z0-9+/]{30}/)
})
