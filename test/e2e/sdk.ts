import { afterAll, beforeAll, beforeEach } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { inNamespace, needsNamespace } from '../_util/namespace.ts'

/** What the tests use of a release, typed as the latest one has it. */
export type Module = typeof import('e2b')
export type Sandbox = InstanceType<Module['Sandbox']>
export type CommandHandle = Awaited<ReturnType<Sandbox['commands']['connect']>>

/** A published release of the JavaScript SDK, as it comes from the registry. */
export interface Sdk {
  readonly version: string
  /** Whether this release is at least that one: older ones lack features, not behaviour. */
  since(version: string): boolean
  load(): Promise<Module>
}

const PACKAGES: Readonly<Record<string, string>> = {
  '1.0.1': 'e2b-1.0.1',
  '1.5.3': 'e2b-1.5',
  '1.13.2': 'e2b-1.13',
  '2.0.3': 'e2b-2.0',
  '2.19.5': 'e2b-2.19',
  '2.51.0': 'e2b',
}

export const sdks: readonly Sdk[] = Object.entries(PACKAGES).map(([version, name]) => ({
  version,
  since: (other) => ordinal(version) >= ordinal(other),
  // Each release has types of its own; what a test uses of an old one is what `since` says is there.
  load: async () => (await import(/* @vite-ignore */ name)) as Module,
}))

/** A version `1.2.3` as a number that grows with it. */
export function ordinal(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  return (major * 1000 + minor) * 1000 + patch
}

/** The port that every release knows in debug mode; old ones know no other. */
const PORT = 49983

/**
 * One daemon for the tests of a file, as `E2B_DEBUG=true` expects it: on port 49983, with the default user `user`.
 * Skips every test of the file, with the reason, outside of the private namespace.
 */
export function useDaemon(args: readonly string[] = ['-default-user', 'user']): { readonly url: string } {
  let daemon: Daemon | undefined
  beforeAll(async () => {
    if (inNamespace) daemon = await startDaemon({ port: PORT, args: ['-address', 'localhost', ...args] })
  })
  beforeEach((context) => needsNamespace(context))
  afterAll(async () => daemon?.[Symbol.asyncDispose]())
  return {
    get url() {
      return `http://localhost:${PORT}`
    },
  }
}

/** A sandbox of the debug mode: the daemon on this machine. */
export async function createSandbox(sdk: Sdk): Promise<Sandbox> {
  const { Sandbox } = await sdk.load()
  return Sandbox.create()
}

/** Text that grows by callbacks. */
export function collector(): { text(): string; add(piece: string | Uint8Array): void } {
  const decoder = new TextDecoder()
  let text = ''
  return {
    text: () => text,
    add: (piece) => {
      text += typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true })
    },
  }
}
