import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** `npm run local` on free ports. Disposing ends it with its sandboxes, and fails if that did not end well. */
export interface ControlPlane extends AsyncDisposable {
  readonly apiUrl: string
  readonly sandboxUrl: string
  /** What the SDK and the CLI read. */
  readonly env: Readonly<Record<string, string>>
}

const main = fileURLToPath(new URL('../../scripts/local/main.ts', import.meta.url))

/** Starts it and waits until it listens. Rejects when it ends before. */
export async function startControlPlane(): Promise<ControlPlane> {
  const child = spawn(process.execPath, [main, '--api-port', '0', '--gateway-port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const line = Promise.withResolvers<string>()
  createInterface(child.stdout).on('line', (text) => {
    if (text.startsWith('export ')) line.resolve(text)
  })
  void ended.then(([code]) => line.reject(new Error(`the control plane ended with ${code}`)))
  const words = (await line.promise).split(' ').slice(1)
  const env = Object.fromEntries(
    words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
  )
  return {
    env,
    apiUrl: env['E2B_API_URL'] ?? '',
    sandboxUrl: env['E2B_SANDBOX_URL'] ?? '',
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      const [code] = await ended
      if (code !== 0) throw new Error(`the control plane ended with ${code}`)
    },
  }
}
