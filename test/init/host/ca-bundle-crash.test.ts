import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createCaBundle } from '../../../src/init/host/ca-bundle.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { bundle } from './bundle.ts'
import { install, makePlace, type Place, SYSTEM } from './ca-place.ts'

const run = promisify(execFile)

test('F17 update-ca-certificates keeps the bundle, and what follows it is installed cleanly', async (context) => {
  await run('sh', ['-c', 'command -v update-ca-certificates && command -v openssl']).catch(() =>
    context.skip('needs ca-certificates and openssl'),
  )
  await using place = await makePlace()
  const at = (name: string) => join(place.directory, name)
  for (const name of ['all', 'local', 'hooks']) await mkdir(at(name))
  const system = await selfSigned(at('system'))
  await writeFile(at('conf'), 'system.crt\n')
  await rename(at('system'), at('system.crt'))
  const paths = { certificates: at('all/ca-certificates.crt'), installed: at('local/e2b-ca.crt') }
  const restarted = () => createCaBundle({ ...paths, log: recordingLog().log })
  const directories = [`--certsdir`, place.directory, '--localcertsdir', at('local'), '--etccertsdir', at('all')]
  const update = ['--certsconf', at('conf'), ...directories, '--hooksdir', at('hooks')]
  await run('update-ca-certificates', update)
  const [first, second] = [await selfSigned(at('first')), await selfSigned(at('second'))]
  await install(restarted(), first)
  expect(await readFile(paths.certificates, 'utf8')).toBe(system + first)
  await run('openssl', ['verify', '-CAfile', paths.certificates, at('first')])
  await run('update-ca-certificates', update)
  const authority = restarted()
  await install(authority, first)
  expect(await readFile(paths.certificates, 'utf8')).toBe(system + first)
  await install(authority, second)
  expect(await readFile(paths.certificates, 'utf8')).toBe(system + second)
  await run('update-ca-certificates', update)
  expect(await readFile(paths.certificates, 'utf8')).toBe(system + second)
})

test('F17 a daemon that is killed at any moment leaves whole certificates, and none of an older bundle for long', async () => {
  await using place = await makePlace()
  let number = 0
  for (let round = 0; round < 15; round++) {
    number = await installUntilKilled(place, number, round * 3)
    const left = await place.read()
    expect(left.startsWith(SYSTEM)).toBe(true)
    const own = left.slice(SYSTEM.length)
    expect(['', bundle(number - 1), bundle(number), bundle(number - 1) + bundle(number)]).toContain(own)
    await install(place.restarted(), bundle(number))
    expect(await place.read()).toBe(SYSTEM + bundle(number))
    expect(await place.persisted()).toBe(bundle(number))
    number++
  }
}, 120_000)

const fixture = fileURLToPath(new URL('fixtures/install-bundles.ts', import.meta.url))

/** Gives the number of the bundle that was being installed. */
async function installUntilKilled(place: Place, first: number, steps: number): Promise<number> {
  const child = spawn(process.execPath, [fixture, place.certificates, place.installed, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let last = first
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line)
    if (last >= first + steps) child.kill('SIGKILL')
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return last
}

/** Makes a certificate in a file of its own, and gives its text. */
async function selfSigned(file: string): Promise<string> {
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null', '-out', file]
  await run('openssl', [...args, '-subj', `/CN=${basename(file)}`, '-days', '2'])
  return await readFile(file, 'utf8')
}
