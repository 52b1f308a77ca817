import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { AllowedNames } from '../../src/http/access/trusted-names.ts'
import { after } from '../../src/lib/timers.ts'
import { createSandbox, initialize, type Sandbox, type SandboxRequest } from './sandbox.ts'

/** All sandboxes of this control plane. */
export class Sandboxes {
  readonly #directory: string
  readonly #allowed: AllowedNames
  readonly #all = new Map<string, Sandbox>()

  /**
   * @param directory where each gets a directory of its own.
   * @param allowed names that their daemons trust, beside loopback.
   */
  constructor(directory: string, allowed: AllowedNames) {
    this.#directory = directory
    this.#allowed = allowed
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
    const sandbox = await createSandbox({ id, parent: this.#directory, request, allowed: this.#allowed })
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
