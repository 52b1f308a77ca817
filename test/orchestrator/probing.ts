import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { FromProbe, Miss, Probed, ToProbe } from './probe.ts'
import { ON_HOST } from './processors.ts'

/** Health checks and metrics of the platform, by a process of its own that no load delays. Disposing ends it. */
export interface Probe extends AsyncDisposable {
  /** Asks from now on, with this token. */
  go(token?: string): void
  /** Asks no more; resolves when the last answers have come. */
  stop(): Promise<void>
  /** What was seen so far. */
  report(): Promise<{ readonly probed: Readonly<Record<string, Probed>>; readonly misses: readonly Miss[] }>
}

const program = fileURLToPath(new URL('probe.ts', import.meta.url))

/** Makes one that does not ask yet. It runs before everything else of the host's. */
export async function startProbe(url: string): Promise<Probe> {
  const [first = '', ...words] = [...ON_HOST, process.execPath, program, url]
  const child = spawn(first, words, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  // Its own start would delay what the test measures.
  await once(child, 'message')
  const report = (message: ToProbe) => void child.send(message)
  const answer = async <M extends ToProbe>(message: M): Promise<FromProbe> => {
    const answered = Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the probe ended with ${code}`))),
    ])
    report(message)
    const [said] = await answered
    return said
  }
  return {
    go: (token) => report({ go: token }),
    stop: async () => void (await answer('stop')),
    report: async () => {
      const said = await answer('report')
      if (said === 'quiet') throw new Error('not what was asked')
      return said
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      if (child.connected) child.disconnect()
      if (child.exitCode === null) await ended
    },
  }
}
