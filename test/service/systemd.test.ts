import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const run = promisify(execFile)
const unit = fileURLToPath(new URL('../../scripts/envd.service', import.meta.url))
const slice = fileURLToPath(new URL('../../scripts/envd.slice', import.meta.url))
const openrc = fileURLToPath(new URL('../../scripts/envd.openrc', import.meta.url))

/** The settings of a unit by section and name; of several of a name the last. */
async function settings(path = unit): Promise<Record<string, Record<string, string>>> {
  const sections: Record<string, Record<string, string>> = {}
  let section: Record<string, string> = {}
  for (const line of (await readFile(path, 'utf8')).split('\n')) {
    const [, title] = /^\[(\w+)\]$/.exec(line) ?? []
    const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? []
    if (title !== undefined) sections[title] = section = {}
    else if (name !== undefined) section[name] = value ?? ''
    else expect(line).toMatch(/^(#.*)?$/)
  }
  return sections
}

test('K1 the systemd unit has the priorities, the protection and the restarts of the platform', async () => {
  const { Unit, Service } = await settings()
  expect(Unit).toMatchObject({ DefaultDependencies: 'no', StartLimitIntervalSec: '0' })
  for (const name of ['systemd-journald.socket', 'systemd-remount-fs.service', 'local-fs.target']) {
    expect(Unit?.['After']?.split(' ')).toContain(name)
  }
  expect(Unit?.['After']?.split(' ')).toContain('systemd-tmpfiles-setup.service')
  expect(Service).toMatchObject({
    ExecStart: '/usr/bin/envd',
    User: 'root',
    Restart: 'always',
    Nice: '-20',
    IOSchedulingClass: 'realtime',
    IOSchedulingPriority: '4',
    OOMScoreAdjust: '-1000',
    OOMPolicy: 'continue',
    Delegate: 'yes',
    MemoryMin: '50M',
    MemoryLow: '100M',
    CPUWeight: '1000',
    IOWeight: '10000',
  })
  expect(Service?.['ExecStartPre']).toMatch(/^-\/\S+$/)
})

test('K1 the slice of the unit has the protection and the weights of the unit, so that they hold', async () => {
  const { Service } = await settings()
  const { Slice } = await settings(slice)
  expect(Service?.['Slice']).toBe(basename(slice))
  for (const name of ['MemoryMin', 'MemoryLow', 'CPUWeight', 'IOWeight']) expect(Slice?.[name]).toBe(Service?.[name])
})

test('K1 systemd understands every line of the unit and of its slice', async (context) => {
  const analyze = (...args: string[]) => run('systemd-analyze', args)
  await analyze('--version').catch(() => context.skip('needs systemd-analyze'))
  await using directory = await makeTmpDir()
  const copy = join(directory.path, basename(unit))
  // Verified are also the paths of programs.
  await writeFile(copy, (await readFile(unit, 'utf8')).replaceAll(/^(Exec\w+=-?)\/\S+$/gm, '$1/bin/true'))
  await writeFile(join(directory.path, basename(slice)), await readFile(slice, 'utf8'))
  const { stdout, stderr } = await analyze('verify', '--man=no', copy, join(directory.path, basename(slice)))
  expect(stdout + stderr).toBe('')
})

test('K2 the OpenRC service is supervised, without end, with the same priorities', async () => {
  await run('sh', ['-n', openrc])
  const script = `. '${openrc}'; echo "$supervisor $command $respawn_delay $respawn_max $supervise_daemon_args"`
  const { stdout } = await run('sh', ['-c', script])
  expect(stdout).toBe('supervise-daemon /usr/bin/envd 1 0 --nicelevel -20 --ionice 1:4 --oom-score-adj -1000\n')
})
