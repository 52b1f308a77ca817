import { expect } from 'vitest'
import { call, open, type Stream } from '../_util/rpc.ts'

/** A listener as JSON has it; what is empty, 0 or false is absent. */
export interface ListenerJson {
  readonly port: number
  readonly address: string
  readonly family: string
  readonly pid?: number
  readonly command?: string
  readonly user?: string
  readonly since: string
  readonly forwarded?: boolean
  readonly forwardAddress?: string
  readonly state: string
  readonly inode: string
}

/** A message of `ports.Ports/Watch`. */
export interface PortMessage {
  readonly snapshot?: { readonly listeners?: readonly ListenerJson[] }
  readonly opened?: ListenerJson
  readonly closed?: ListenerJson
  readonly changed?: ListenerJson
  readonly keepalive?: Record<string, never>
}

/** Where the daemons of other tests forward this test's listeners to, which is none of its business. */
function isForeign({ address }: ListenerJson, here: string | undefined): boolean {
  return /^(127\.0\.21|169\.254)\./.test(address) && address !== here
}

/**
 * All listeners of a port, from `ports.Ports/List`. `here`: an address that is looked at although daemons forward to
 * it.
 */
export async function listed(url: string, port: number, here?: string): Promise<readonly ListenerJson[]> {
  const { status, body } = await call(url, 'ports.Ports/List', {})
  expect(status).toBe(200)
  // The shape is that of ports.proto.
  const { listeners = [] } = body as { listeners?: ListenerJson[] }
  return listeners.filter((listener) => listener.port === port && !isForeign(listener, here))
}

/** The states of a port's listeners, in order of their addresses. */
export async function statesOf(url: string, port: number): Promise<string[]> {
  return (await listed(url, port)).map(({ state }) => state)
}

/** Opens `ports.Ports/Watch`. */
export function watchPorts(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Stream<PortMessage>> {
  return open<PortMessage>(url, 'ports.Ports/Watch', {}, { headers })
}

/**
 * What `nextAbout` waits for: a port, and an address that the test itself listens on although daemons forward to it.
 */
export interface About {
  readonly port: number
  readonly here?: string
}

/** The next message about a port; reports about other ports of a busy machine are passed over. */
export async function nextAbout(stream: Stream<PortMessage>, { port, here }: About): Promise<PortMessage> {
  for (;;) {
    const message = await stream.next()
    const listener = message.opened ?? message.closed ?? message.changed
    if (listener?.port === port && !isForeign(listener, here)) return message
  }
}
