import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The addresses of a microVM's only network, and of its metadata service. */
export const GUEST = '169.254.0.21'
export const HOST = '169.254.0.22'
export const METADATA = '169.254.169.254'

/** The host's end of a machine's network. Disposing takes it away. */
export interface Tap extends AsyncDisposable {
  readonly name: string
  /**
   * From now on connections to the machine come from that address, and the one before is gone: what the machine sends
   * there is lost in silence, as after a resume elsewhere.
   */
  moveTo(address: string): Promise<void>
}

/**
 * Makes it in the network of the tests, one at a time. It stays when a machine ends, and takes the next one.
 * @param address from which connections to the machine come
 */
export async function makeTap(address: string): Promise<Tap> {
  const name = 'vm0'
  const ip = (...words: string[]) => run('ip', words)
  await ip('tuntap', 'add', name, 'mode', 'tap')
  let current: string | undefined
  const moveTo = async (next: string) => {
    await ip('address', 'add', `${next}/32`, 'dev', name)
    await ip('route', 'replace', GUEST, 'dev', name, 'src', next)
    if (current !== undefined) await ip('address', 'delete', `${current}/32`, 'dev', name)
    current = next
  }
  try {
    for (const each of [`${HOST}/30`, `${METADATA}/32`]) await ip('address', 'add', each, 'dev', name)
    await ip('link', 'set', name, 'up')
    await moveTo(address)
  } catch (error) {
    await ip('link', 'delete', name)
    throw error
  }
  return { name, moveTo, [Symbol.asyncDispose]: async () => void (await ip('link', 'delete', name)) }
}
