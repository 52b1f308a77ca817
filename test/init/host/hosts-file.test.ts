import { execFile } from 'node:child_process'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createHostsFile, withMapping } from '../../../src/init/host/hosts-file.ts'
import { createHyperloop } from '../../../src/init/host/hyperloop.ts'
import { EnvVars } from '../../../src/users/defaults.ts'
import { inNamespace, needsNamespace } from '../../_util/namespace.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

const run = promisify(execFile)
const NAME = 'events.e2b.local'

test.each([
  ['an empty file', '', '10.0.0.1', `10.0.0.1\t${NAME}\n`],
  ['a last line without its end', '127.0.0.1 localhost', '10.0.0.1', `127.0.0.1 localhost\n10.0.0.1\t${NAME}\n`],
  ['an old address', `a\n10.0.0.9 ${NAME}\nb\n`, '10.0.0.1', `a\nb\n10.0.0.1\t${NAME}\n`],
  ['an address of the other family', `fe80::1 ${NAME}\n`, '10.0.0.1', `fe80::1 ${NAME}\n10.0.0.1\t${NAME}\n`],
  ['an old IPv6 address', `fd00::2 ${NAME}\n10.0.0.1 ${NAME}\n`, 'fd00::1', `10.0.0.1 ${NAME}\nfd00::1\t${NAME}\n`],
  ['other names of the old address', `10.0.0.9\ta  ${NAME} \tb\n`, '10.0.0.1', `10.0.0.9\ta \tb\n10.0.0.1\t${NAME}\n`],
  ['other names behind it', `10.0.0.9 ${NAME} b\n`, '10.0.0.1', `10.0.0.9 b\n10.0.0.1\t${NAME}\n`],
  ['a comment behind the old address', `10.0.0.9 ${NAME} # why\n`, '10.0.0.1', `# why\n10.0.0.1\t${NAME}\n`],
  ['a comment that names it', `# 10.0.0.9 ${NAME}\n`, '10.0.0.1', `# 10.0.0.9 ${NAME}\n10.0.0.1\t${NAME}\n`],
  [
    'longer names',
    `10.0.0.9 my-${NAME} ${NAME}.org\n`,
    '10.0.0.1',
    `10.0.0.9 my-${NAME} ${NAME}.org\n10.0.0.1\t${NAME}\n`,
  ],
  ['capitals and indentation', `  10.0.0.9 Events.E2B.local\r\n`, '10.0.0.1', `10.0.0.1\t${NAME}\n`],
  ['the same address twice', `10.0.0.1 ${NAME}\n10.0.0.1 x ${NAME}\n`, '10.0.0.1', `10.0.0.1 ${NAME}\n10.0.0.1 x\n`],
  ['the same address and an old one', `10.0.0.9 ${NAME}\n10.0.0.1 ${NAME}\n`, '10.0.0.1', `10.0.0.1 ${NAME}\n`],
  ['the same address', `x\n10.0.0.1   ${NAME} y # z\n`, '10.0.0.1', undefined],
  ['the same address, written otherwise', `FD00:0:0::1 ${NAME}\n`, 'fd00::1', undefined],
  ['bytes that are no text', '\x80\xff\n\0 \xe9\n', '10.0.0.1', `\x80\xff\n\0 \xe9\n10.0.0.1\t${NAME}\n`],
])(
  'F16 the hosts file maps the name to one address of a family, and keeps the rest: %s',
  async (_, before, address, after) => {
    const edited = await withMapping(Buffer.from(before, 'latin1'), NAME, address)
    expect(edited?.toString('latin1')).toBe(after)
    if (edited !== undefined) expect(await withMapping(edited, NAME, address)).toBeUndefined()
  },
)

test.each([
  ['a million mappings', `10.0.0.9 ${NAME}\n`.repeat(1_200_000), `10.0.0.1\t${NAME}\n`],
  ['a line without an end', `10.0.0.9 ${NAME} ${'a '.repeat(15_000_000)}`, undefined],
  ['hosts that are blocked', '0.0.0.0 blocked.example\n'.repeat(1_300_000), undefined],
])('F16 a hosts file of 30 MB is edited in slices of the event loop: %s', async (_, before, after) => {
  const content = Buffer.from(before)
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  const edited = await withMapping(content, NAME, '10.0.0.1')
  // Another turn, so that the last one counts.
  await new Promise(setImmediate)
  delays.disable()
  const ends = before.endsWith('\n') ? '' : '\n'
  expect(edited?.equals(Buffer.from(after ?? `${before}${ends}10.0.0.1\t${NAME}\n`))).toBe(true)
  expect(delays.max / 1e6).toBeLessThan(200)
})

test('F16 the hosts file is replaced whole, with mode and owner, and not at all when the mapping is there', async (context) => {
  needsNamespace(context)
  await using directory = await makeTmpDir()
  const path = join(directory.path, 'hosts')
  await writeFile(path, '# mine\n127.0.0.1\tlocalhost\n')
  await chmod(path, 0o640)
  await chown(path, 1000, 1001)
  const before = await stat(path)
  const hosts = createHostsFile(path)
  expect(await hosts.map(NAME, '10.0.0.1')).toBe(true)
  const after = await stat(path)
  expect(after).toMatchObject({ mode: before.mode, uid: 1000, gid: 1001 })
  expect(after.ino).not.toBe(before.ino)
  expect(await readFile(path, 'utf8')).toBe(`# mine\n127.0.0.1\tlocalhost\n10.0.0.1\t${NAME}\n`)
  expect(await hosts.map(NAME, '10.0.0.1')).toBe(false)
  expect((await stat(path)).ino).toBe(after.ino)
  expect(await readdir(directory.path)).toEqual(['hosts'])
})

test('F16 a hosts file that is missing is made, and one behind a link stays behind it', async () => {
  await using directory = await makeTmpDir()
  const [path, link] = [join(directory.path, 'real/hosts'), join(directory.path, 'hosts')]
  await createHostsFile(link).map(NAME, '10.0.0.1')
  expect((await stat(link)).mode & 0o777).toBe(0o644)
  await mkdir(join(directory.path, 'real'))
  await rename(link, path)
  await symlink('real/hosts', link)
  await createHostsFile(link).map(NAME, '10.0.0.2')
  expect((await lstat(link)).isSymbolicLink()).toBe(true)
  expect(await readFile(path, 'utf8')).toBe(`10.0.0.2\t${NAME}\n`)
})

test.skipIf(!inNamespace).each([
  ['in a directory that can be written', []],
  ['in a read-only directory', [['-o', 'remount,ro']]],
])('F16 a hosts file that is a mount of its own, as in containers, is written in place: %s', async (_, remounts) => {
  await using directory = await makeTmpDir()
  const [source, etc] = [join(directory.path, 'source'), join(directory.path, 'etc')]
  const path = join(etc, 'hosts')
  const long = Array.from({ length: 500 }, (_, index) => `10.1.${index >> 8}.${index & 255} host${index}\n`).join('')
  await writeFile(source, `10.0.0.7 ${NAME}\n${long}`)
  await mkdir(etc)
  await run('mount', ['-t', 'tmpfs', 'tmpfs', etc])
  try {
    await writeFile(path, '')
    for (const options of remounts) await run('mount', [...options, etc])
    await run('mount', ['--bind', source, path])
    const hosts = createHostsFile(path)
    expect(await hosts.map(NAME, '10.0.0.1')).toBe(true)
    expect(await readFile(source, 'utf8')).toBe(`${long}10.0.0.1\t${NAME}\n`)
    expect(await hosts.map(NAME, '10.0.0.1')).toBe(false)
    expect(await hosts.map(NAME, 'fd00::1')).toBe(true)
    expect(await readFile(path, 'utf8')).toBe(`${long}10.0.0.1\t${NAME}\nfd00::1\t${NAME}\n`)
    expect(await readdir(etc)).toEqual(['hosts'])
  } finally {
    await run('umount', ['--recursive', etc])
  }
})

test('F16 a hosts file on a full disk of its own stays as it was', async (context) => {
  needsNamespace(context)
  await using directory = await makeTmpDir()
  const [disk, path] = [join(directory.path, 'disk'), join(directory.path, 'hosts')]
  const lines = '10.1.1.1 a-host\n'.repeat(1024)
  await mkdir(disk)
  await run('mount', ['-t', 'tmpfs', '-o', 'size=32k', 'tmpfs', disk])
  try {
    await writeFile(join(disk, 'hosts'), lines)
    await writeFile(join(disk, 'other'), Buffer.alloc(16 * 1024))
    await writeFile(path, '')
    await run('mount', ['--bind', join(disk, 'hosts'), path])
    await expect(createHostsFile(path).map(NAME, '10.0.0.1')).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await readFile(path, 'utf8')).toBe(lines)
    await truncate(join(disk, 'other'))
    await createHostsFile(path).map(NAME, '10.0.0.1')
    expect(await readFile(path, 'utf8')).toBe(`${lines}10.0.0.1\t${NAME}\n`)
  } finally {
    await run('umount', [path])
    await run('umount', [disk])
  }
})

test('F16 a reader of the hosts file while it changes finds all of its lines, and other writers keep theirs', async () => {
  await using directory = await makeTmpDir()
  const path = join(directory.path, 'hosts')
  const foreign = '127.0.0.1 localhost\n'.repeat(2000)
  await writeFile(path, `${foreign}10.0.0.1 ${NAME}\n`)
  const hosts = createHostsFile(path)
  let done = false
  const torn: string[] = []
  const reader = async () => {
    while (!done) {
      const content = await readFile(path, 'utf8')
      const whole = content.startsWith(foreign) && content.split(NAME).length === 2 && content.endsWith(`${NAME}\n`)
      if (!whole) torn.push(content.slice(-200))
    }
  }
  const reading = reader()
  await Promise.all(Array.from({ length: 100 }, (_, index) => hosts.map(NAME, `10.0.1.${index}`)))
  done = true
  await reading
  expect(torn).toEqual([])
  expect(await readFile(path, 'utf8')).toBe(`${foreign}10.0.1.99\t${NAME}\n`)
  expect(await readdir(directory.path)).toEqual(['hosts'])
})

test('F16 commands are told the address, in brackets where it is IPv6, once the hosts file has it', async () => {
  await using directory = await makeTmpDir()
  const path = join(directory.path, 'hosts')
  const [env, { log, lines }] = [new EnvVars(), recordingLog()]
  const hyperloop = createHyperloop({ hosts: createHostsFile(path), env, log })
  await hyperloop.set('192.0.2.7')
  expect(env.all().get('E2B_EVENTS_ADDRESS')).toBe('http://192.0.2.7')
  await hyperloop.set('2001:DB8::7')
  expect(env.all().get('E2B_EVENTS_ADDRESS')).toBe('http://[2001:db8::7]')
  expect(await readFile(path, 'utf8')).toBe(`192.0.2.7\t${NAME}\n2001:db8::7\t${NAME}\n`)
  expect(lines.map(({ level }) => level)).toEqual(['debug', 'debug'])
})

test('F16 an address that is none, and a hosts file that cannot be written, are logged and change nothing', async () => {
  await using directory = await makeTmpDir()
  const [env, { log, lines }] = [new EnvVars(), recordingLog()]
  const hyperloop = createHyperloop({ hosts: createHostsFile(directory.path), env, log })
  for (const address of ['', 'CANARY', '10.0.0', '10.0.0.1 CANARY', '10.0.0.1\nCANARY', 'fe80::1%lo', '1.2.3.4#'])
    await hyperloop.set(address)
  expect(lines).toHaveLength(7)
  await hyperloop.set('10.0.0.1')
  expect(lines.at(-1)).toMatchObject({ level: 'error', message: 'the hosts file could not be written' })
  expect(JSON.stringify(lines)).not.toContain('CANARY')
  expect(env.all().size).toBe(0)
})
