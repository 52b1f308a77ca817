import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { open, type ProcessMessage, shell, transcript } from '../_util/rpc.ts'

test('D34 an exit and its output are kept as long as -keep-exits says, and no longer', async () => {
  await using daemon = await startDaemon({ args: ['-keep-exits=2'] })
  const { pid } = await shell(daemon.url, 'echo output; exit 7')
  const ask = () => open<ProcessMessage>(daemon.url, 'process.Process/Connect', { process: { pid }, resumeFrom: {} })
  const kept = await transcript(await ask())
  expect(kept.stdout.toString()).toBe('output\n')
  expect(kept.end?.exitCode).toBe(7)
  await expect
    .poll(async () => (await (await ask()).rest()).end.error)
    .toEqual({ code: 'not_found', message: `process with pid ${pid} not found` })
})
