import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { shell, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { inParallel } from './following.ts'

const launcher = fileURLToPath(new URL('../../scripts/envd', import.meta.url))

test('D43 as process 1 the daemon reaps what is left behind, and no end of a command is lost', async (context) => {
  needsNamespace(context)
  await using directory = await makeTmpDir()
  const flags = ['-port', '0', '-address', '127.0.0.1', '-run-dir', directory.path, '-kill-on-exit']
  const child = spawn('unshare', ['--fork', '--pid', '--mount-proc', '--kill-child', launcher, ...flags], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  context.onTestFinished(async () => {
    // unshare(1) takes no notice of SIGTERM; --kill-child ends the rest with it.
    child.kill('SIGKILL')
    await once(child, 'close')
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const url = await vi.waitUntil(() => /listening on (http:\/\/\S+)/.exec(output)?.[1], { timeout: 20_000 })
  await inParallel(300, 32, async (index) => {
    const command = '(sleep 0.01 >/dev/null 2>&1 &); exit 3'
    const said = index % 2 === 0 ? await shell(url, command) : await transcript(await start(url, 'true'))
    expect(said.end?.status).toBe(index % 2 === 0 ? 'exit status 3' : 'exit status 0')
  })
  const zombies = async () =>
    (await shell(url, 'cat /proc/[0-9]*/stat | cut -d" " -f3')).stdout.toString().includes('Z')
  await expect.poll(async () => !(await zombies())).toBe(true)
  expect(output).not.toContain('unexpected failure')
})
