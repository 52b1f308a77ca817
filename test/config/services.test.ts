import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { fastest, timeOf } from '../_util/fastest.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

/** What comes of a file with these services. */
async function commandOf(services: unknown, argv: readonly string[] = []) {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'envd.json')
  await writeFile(path, JSON.stringify({ services }))
  const command = readConfig(['-config', path, ...argv], {})
  return command.kind === 'usage' ? command.problem.replace(path, 'FILE') : command
}

const plain = (name: string, more: object = {}) => ({ name, command: 'true', ...more })

test('services come after those that they wait for, with what the flags say where they say nothing', async () => {
  const db = { ...plain('db'), user: 'postgres', workdir: '/db', env: { B: '2' }, ready: 'pg_isready', live: 'ping' }
  const services = [
    plain('web', { after: ['db', 'start'] }),
    { ...db, restart: 'always', after: ['disk'] },
    plain('disk'),
  ]
  const argv = ['-start-cmd=serve', '-start-user=user', '-start-env=A=1', '-restart=on-failure', '-live-failures=5']
  const command = await commandOf(services, argv)
  expect(command).toMatchObject({
    config: {
      services: [
        { name: 'start', startCommand: 'serve', after: [], user: 'user', env: { A: '1' } },
        { name: 'disk', startCommand: 'true', readyCommand: undefined, user: 'user', restart: 'on-failure' },
        {
          name: 'db',
          readyCommand: 'pg_isready',
          user: 'postgres',
          workdir: '/db',
          env: { A: '1', B: '2' },
          restart: 'always',
          live: { command: 'ping', failures: 5 },
        },
        { name: 'web', after: ['db', 'start'], live: { command: undefined } },
      ],
    },
  })
})

test('the start command may be one of them, where no flag gives it', async () => {
  const command = await commandOf([plain('start', { after: ['db'] }), plain('db')])
  expect(command).toMatchObject({ config: { services: [{ name: 'db' }, { name: 'start', startCommand: 'true' }] } })
  expect(await commandOf([plain('start')], ['-ready-cmd=true'])).toBe(
    'config file FILE: services: "start" is the command that start-cmd, ready-cmd or live-cmd sets already',
  )
})

const badName = 'services[0].name must be 1 to 63 of a-z, 0-9, _ and -, begin with a letter, and not be ready or live'

const refused: readonly (readonly [unknown, string])[] = [
  [{}, 'key "services" must be a list, got an object'],
  [['db'], 'services[0] must be an object, got a string'],
  [[{ name: 'a' }], 'services[0].command must be given'],
  [
    [plain('a', { comand: 'x', user: 1 })],
    'services[0]: unknown key "comand"; services[0].user must be a string, got the number 1',
  ],
  [[plain('a', { restart: 'no' })], 'services[0].restart must be one of never, on-failure, always, got "no"'],
  [[plain('a', { env: { A: 1 } })], 'services[0].env must be an object of strings'],
  [[plain('a', { after: 'b' })], 'services[0].after must be a list of names'],
  [[plain('a'), plain('a')], 'services: "a" is there twice'],
  [[plain('a', { after: ['b'] })], 'services: "a" is after "b", which is no service'],
  [[plain('a', { after: ['a'] })], 'services wait for each other: a after a'],
  [
    [plain('x'), plain('a', { after: ['x', 'b'] }), plain('b', { after: ['c'] }), plain('c', { after: ['a'] })],
    'services wait for each other: a after b after c after a',
  ],
  [Array.from({ length: 65 }, (_, i) => plain(`s${i}`)), 'services: at most 64, got 65'],
]

const badNames = ['', 'A', '../x', 'a/b', 'a.b', '_system', 'ready', 'live', 'a'.repeat(64)]

test.each([...refused, ...badNames.map((name) => [[plain(name)], badName] as const)])(
  '%j is refused',
  async (services, problem) => {
    expect(await commandOf(services)).toBe(`config file FILE: ${problem}`)
  },
)

test('64 services that all wait for those before them are read at once', async () => {
  const names = Array.from({ length: 64 }, (_, i) => `s${i}`)
  const services = names.map((name, i) => plain(name, { after: names.slice(0, i) })).reverse()
  const read = async () => expect(await commandOf(services)).toHaveProperty('config.services.length', 65)
  expect(await fastest(200, () => timeOf(read))).toBeLessThan(200)
})
