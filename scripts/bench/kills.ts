import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { messageReader } from './client.ts'
import { latencyOf, latencyRows, type Measure } from './measure.ts'
import type { Target } from './target.ts'

const OTHERS = 1000
const KILLS = 100

/** SIGKILL of a command, from the call to the end that its stream reports, while many other processes are there. */
export const kills: Measure = {
  name: 'kill',
  async run(target) {
    const others = await startOthers()
    try {
      const ready = await Promise.all(Array.from({ length: KILLS }, () => startSleep(target)))
      const latency = await latencyOf((index) => ready[index]?.kill() ?? Promise.resolve(), { count: KILLS, warm: 0 })
      return latencyRows(`SIGKILL amid ${OTHERS} processes to end`, latency, { p50: 0.5 })
    } finally {
      others.kill('SIGKILL')
      await once(others, 'exit')
    }
  },
}

/** One process that has all of them below it and takes them with it. */
async function startOthers(): Promise<ChildProcess> {
  const loop = `i=0; while [ $i -lt ${OTHERS} ]; do sleep 1000 & i=$((i+1)); done; echo started; wait`
  const namespace = ['--fork', '--pid', '--kill-child', 'sh', '-c', loop]
  const child = spawn('unshare', namespace, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('no unshare'))),
  ])
  return child
}

async function startSleep({ client }: Target): Promise<{ kill(): Promise<void> }> {
  const started = Promise.withResolvers<number>()
  const onMessage = messageReader((message) => {
    const { event } = JSON.parse(message.toString())
    if (event?.start !== undefined) started.resolve(event.start.pid)
  })
  const ended = client.start('/bin/sleep', ['1000'], onMessage)
  ended.catch(started.reject)
  const process = { pid: await started.promise }
  return {
    kill: async () => {
      await client.unary('process.Process/SendSignal', { process, signal: 'SIGNAL_SIGKILL' })
      await ended
    },
  }
}
