import type { HostileRequest, Place } from './message-parts.ts'

/** What the fuzzer sends: a request, or the bytes of a connection. */
export type Message = HostileRequest | Buffer

/** Messages after which the daemon failed, and where they were sent to. */
export interface Finding {
  readonly seed: number
  readonly problem: string
  readonly directory: string
  readonly messages: readonly Message[]
}

/** In paths and headers: what relays to this port is sent to the one of the next run. */
const PORT = (at: number) => `PORT-${at}-OF-PLACE`

/** Text of one line, of which `parseFinding` makes the same messages for another place. */
export function findingText({ seed, problem, directory, messages }: Finding, { ports }: Place): string {
  const named = (text: string) => ports.reduce((named, port, at) => named.replaceAll(String(port), PORT(at)), text)
  return JSON.stringify({
    ...{ seed, problem, directory },
    messages: messages.map((message) =>
      Buffer.isBuffer(message)
        ? { raw: message.toString('base64') }
        : {
            ...message,
            path: named(message.path),
            headers: mapped(message.headers, named),
            body: message.body.toString('base64'),
          },
    ),
  })
}

/** What of a finding does not depend on ports. */
export function headOf(text: string): Omit<Finding, 'messages'> {
  return JSON.parse(text)
}

/** The finding in a file of `found/`. The directory stays: its name is in bytes whose length counts. */
export function parseFinding(text: string, ports: Place['ports']): Finding {
  const { messages, ...finding } = JSON.parse(text)
  const placed = (text: string) => ports.reduce((placed, port, at) => placed.replaceAll(PORT(at), String(port)), text)
  return {
    ...finding,
    messages: messages.map((message: Record<string, never>) =>
      'raw' in message
        ? Buffer.from(message['raw'] ?? '', 'base64')
        : {
            ...message,
            path: placed(message['path'] ?? ''),
            headers: mapped(message['headers'] ?? {}, placed),
            body: Buffer.from(message['body'] ?? '', 'base64'),
          },
    ),
  }
}

function mapped(headers: Readonly<Record<string, string>>, change: (text: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, change(value)]))
}
