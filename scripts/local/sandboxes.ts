import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after } from '../../src/lib/timers.ts'
import { createSandbox, initialize, type Sandbox, type SandboxRequest } from './sandbox.ts'

/** All sandboxes of this control plane. */
export class Sandboxes {
  readonly #directory: string
  readonly #all = new Map<string, Sandbox>()

  /** @param directory where each gets a directory of its own. */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** Old clients write `<id>-<client id>`. */
  find(name: string): Sandbox | undefined {
    return this.#all.get(name.split('-', 1)[0] ?? '')
  }

  list(): Sandbox[] {
    return [...this.#all.values()]
  }

  async create(request: SandboxRequest): Promise<Sandbox> {
    const id = `i${randomBytes(10).toString('hex').slice(0, 19)}`
    const sandbox = await createSandbox(id, this.#directory, request)
    this.#all.set(id, sandbox)
    void sandbox.daemon.ended.then(() => this.#forget(sandbox))
    this.setTimeout(sandbox, request.timeout)
    return sandbox
  }

  /** It ends, or is paused, that many seconds from now. */
  setTimeout(sandbox: Sandbox, seconds: number): void {
    sandbox.cancelEnd()
    sandbox.endAt = new Date(Date.now() + seconds * 1000)
    const end = () => (sandbox.request.autoPause ? this.pause(sandbox) : this.kill(sandbox))
    sandbox.cancelEnd = after(seconds * 1000, () => void end())
  }

  async pause(sandbox: Sandbox): Promise<void> {
    sandbox.cancelEnd()
    sandbox.state = 'paused'
    await sandbox.daemon.pause()
  }

  /** A paused one goes on; for a running one only the timeout begins anew. */
  async connect(sandbox: Sandbox, seconds: number): Promise<void> {
    this.setTimeout(sandbox, seconds)
    if (sandbox.state === 'running') return
    await sandbox.daemon.resume()
    await initialize(sandbox)
    sandbox.state = 'running'
  }

  async kill(sandbox: Sandbox): Promise<void> {
    this.#all.delete(sandbox.id)
    await sandbox.daemon.stop()
  }

  async close(): Promise<void> {
    await Promise.all(this.list().map((sandbox) => this.kill(sandbox)))
  }

  #forget(sandbox: Sandbox): void {
    sandbox.cancelEnd()
    this.#all.delete(sandbox.id)
    void rm(join(this.#directory, sandbox.id), { recursive: true, force: true }).catch(() => {})
  }
}
