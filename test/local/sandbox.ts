import { Sandbox } from 'e2b'
import type { ControlPlane } from './control-plane.ts'

type CreateOptions = NonNullable<Parameters<typeof Sandbox.create>[1]>

/** What the SDK takes instead of the environment. */
export function connectionTo(plane: ControlPlane) {
  return { apiUrl: plane.apiUrl, sandboxUrl: plane.sandboxUrl, apiKey: plane.env['E2B_API_KEY'] ?? '', debug: false }
}

/** Creates a sandbox there, which is killed when it is disposed of. */
export async function createOn(
  plane: ControlPlane,
  options: CreateOptions = {},
  template = 'base',
): Promise<Sandbox & AsyncDisposable> {
  return killedAtEnd(await Sandbox.create(template, { ...connectionTo(plane), ...options }))
}

/** The same for one that is there. */
export function killedAtEnd(sandbox: Sandbox): Sandbox & AsyncDisposable {
  return Object.assign(sandbox, { [Symbol.asyncDispose]: async () => void (await sandbox.kill()) })
}

/** The token that the SDK keeps to itself. */
export function tokenOf(sandbox: Sandbox): string {
  // A private member of the SDK.
  return (sandbox as unknown as { envdAccessToken?: string }).envdAccessToken ?? ''
}
