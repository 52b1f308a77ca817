import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { needsRoot } from '../_util/namespace.ts'
import { shell } from '../_util/rpc.ts'

const launcher = fileURLToPath(new URL('../../scripts/envd', import.meta.url))

beforeEach((context) => {
  needsRoot(context)
  if (!existsSync('/proc/self/autogroup')) context.skip('needs a kernel with autogroups')
})

test.each([
  [-5, -5],
  [0, 0],
  [5, 0],
])(
  'K1 K2 with nice %d the session of the daemon has %d, and those of its commands have none',
  async (nice, expected) => {
    await using daemon = await startDaemon({ launch: ['setsid', 'nice', '-n', String(nice - getPriority()), launcher] })
    expect(await readFile(`/proc/${daemon.pid}/autogroup`, 'utf8')).toMatch(new RegExp(` nice ${expected}\n$`))
    const { stdout } = await shell(daemon.url, 'cat /proc/self/autogroup')
    expect(stdout.toString()).toMatch(/ nice 0\n$/)
  },
)
