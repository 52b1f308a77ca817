import { expect } from 'vitest'
import { Signal as SandboxSignal, type StartResponse } from '../../../src/gen/agent-sandbox/process_pb.js'

import { bytes, type Calls } from './visit.ts'

/** What a stream of the agent sandbox says, with what to do once it has begun, and at its first output. */
async function sandboxed(
  responses: AsyncIterable<StartResponse>,
  begun?: (pid: number) => Promise<void>,
  spoken?: (pid: number) => Promise<void>,
) {
  const heard = { pid: 0, stdout: '', stderr: '', exitCode: Number.NaN }
  for await (const { event } of responses) {
    if (event.case === 'init') {
      heard.pid = event.value.processId
      await begun?.(heard.pid)
    }
    if (event.case === 'exit') heard.exitCode = event.value.exitCode
    if (event.case !== 'stdout' && event.case !== 'stderr') continue
    if (heard.stdout === '') await spoken?.(heard.pid)
    heard[event.case] += Buffer.from(event.value).toString()
  }
  return heard
}

export const AGENT_SANDBOX_CALLS: Calls = {
  'process.v1.ProcessService/Start': async ({ sandbox }) => {
    const command = ['sh', '-c', 'printf out; printf err >&2; exit 3']
    const { pid, ...heard } = await sandboxed(sandbox.start({ config: { command } }))
    expect(pid).toBeGreaterThan(0)
    expect(heard).toEqual({ stdout: 'out', stderr: 'err', exitCode: 3 })
  },
  'process.v1.ProcessService/Execute': async ({ sandbox, dir }) => {
    const command = ['sh', '-c', 'printf "$A"; pwd >&2; exit 4']
    const { exitCode, stdout, stderr } = await sandbox.execute({ config: { command, envVars: { A: 'b' }, cwd: dir } })
    expect([exitCode, Buffer.from(stdout).toString(), Buffer.from(stderr).toString()]).toEqual([4, 'b', `${dir}\n`])
  },
  'process.v1.ProcessService/WriteStdin': async ({ sandbox }) => {
    const result = await sandboxed(sandbox.start({ config: { command: ['cat'] } }), async (processId) => {
      await sandbox.writeStdin({ processId, payload: { case: 'input', value: bytes('typed') } })
      await sandbox.writeStdin({ processId, payload: { case: 'eof', value: {} } })
    })
    expect(result).toMatchObject({ stdout: 'typed', exitCode: 0 })
  },
  'process.v1.ProcessService/SendSignal': async ({ sandbox }) => {
    for (const [signal, exitCode] of [
      [SandboxSignal.SIGINT, 7],
      [SandboxSignal.SIGTERM, 8],
      [SandboxSignal.SIGKILL, -1],
    ] as const) {
      const command = ['sh', '-c', 'trap "exit 7" INT; trap "exit 8" TERM; echo; while :; do sleep 0.05; done']
      const result = await sandboxed(sandbox.start({ config: { command } }), undefined, async (processId) => {
        await sandbox.sendSignal({ processId, signal })
      })
      expect(result.exitCode).toBe(exitCode)
    }
  },
  'process.v1.ProcessService/ResizeTTY': async ({ sandbox }) => {
    const started = sandbox.start({
      config: { command: ['sh', '-c', 'read x; stty size'] },
      pty: { cols: 80, rows: 24 },
    })
    const result = await sandboxed(started, async (processId) => {
      await sandbox.resizeTTY({ processId, cols: 132, rows: 43 })
      await sandbox.writeStdin({ processId, payload: { case: 'input', value: bytes('\n') } })
    })
    expect(result.stdout).toContain('43 132')
  },
}
