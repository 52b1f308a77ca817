import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createAccessToken } from '../../src/init/access-token.ts'
import { restoreState } from '../../src/init/kept-state.ts'
import type { Deposit, Taken } from '../../src/keeper/keeper.ts'
import { requireReadable } from '../../src/kept-versions.ts'
import { readAccount, readRecord } from '../../src/process/process-record.ts'
import { createDefaults } from '../../src/users/defaults.ts'
import { isReadable, readableVersions, STATE_VERSION } from '../../src/version.ts'

/** What the first release with a keeper has left, byte for byte. A later daemon must go on with it. */
const fixture = async (name: string) =>
  readFile(fileURLToPath(new URL(`./fixtures/version-1/${name}`, import.meta.url)), 'utf8')

const VERSIONS = [STATE_VERSION - 2, STATE_VERSION - 1, STATE_VERSION].filter((version) => version > 0)
const ofVersion = (text: string, version: number) => text.replace('"version":1', `"version":${version}`)

async function takenWith(version: number): Promise<Taken> {
  const contents = await Promise.all(
    ['state.txt', 'record.txt', 'watcher.txt'].map(async (name) =>
      Buffer.from(ofVersion(await fixture(name), version)),
    ),
  )
  const places = [
    { key: 0, pid: 0 },
    { key: 2, pid: 4711 },
    { key: 3, pid: 0 },
  ]
  const deposits: Deposit[] = places.map((place, index) => ({
    ...place,
    ...{ status: undefined, note: 0, content: contents[index] ?? Buffer.alloc(0), descriptors: [] },
  }))
  return { deposits, starts: 2, failures: 0, lastStatus: 9, trial: true, wentBack: false }
}

test('a daemon reads its own version and the two before, and no other', () => {
  expect(readableVersions()).toEqual(VERSIONS)
  for (const version of VERSIONS) expect(isReadable(version)).toBe(true)
  for (const version of [0, STATE_VERSION - 3, STATE_VERSION + 1, '1', null, undefined, 1.5])
    expect([version, isReadable(version)]).toEqual([version, false])
})

test.each(VERSIONS)('what a daemon of version %d has left is understood', async (version) => {
  requireReadable(await takenWith(version))
  const record = readRecord(Buffer.from(ofVersion(await fixture('record.txt'), version)))
  expect(record).toMatchObject({ tag: 'mine', key: 'once', user: 'root', cwd: '/', config: { cmd: 'sh' } })
  const { end, kills } = readAccount(Buffer.from(ofVersion(await fixture('end.txt'), version)))
  expect(end).toMatchObject({ exitCode: 7, status: 'exit status 7', exited: true })
  expect(kills).toEqual([])
  const token = createAccessToken()
  const defaults = createDefaults({ user: 'root', workdir: undefined, notFirecracker: true, onUnusable: () => {} })
  const text = ofVersion(await fixture('state.txt'), version)
  expect(restoreState(text.slice(text.indexOf('\n') + 1), { token, defaults })).toEqual({
    ...{ initialized: true, newest: 1767225600000000000n, userNamed: true },
  })
  expect([token.matches('secret'), defaults.user, defaults.workdir]).toEqual([true, 'root', '/usr'])
})

test('what is of a newer version is refused before anything of it is touched', async () => {
  const left = await takenWith(STATE_VERSION + 1)
  expect(() => requireReadable(left)).toThrow('the state of the sandbox is of a version that')
  for (const [index, what] of [
    [1, 'the record of process 4711'],
    [2, 'the record of a watcher'],
  ] as const) {
    const deposits = left.deposits.slice(index, index + 1)
    expect(() => requireReadable({ ...left, deposits })).toThrow(`${what} is of a version that`)
  }
})
