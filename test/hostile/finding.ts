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

/** A message in JSON; bytes in base64. */
type Written = { readonly raw: string } | (Omit<HostileRequest, 'body'> & { readonly body: string })

/** In paths and headers: what relays to this port is sent to the one of the next run. */
const portName = (at: number) => `PORT-${at}-OF-PLACE`

/**
 * A finding as text of one line, for `parseFinding`; ports of the place by names. The directory stays: its name is in
 * bytes whose length counts.
 */
export function findingText(finding: Finding, { ports }: Place): string {
  const named = (text: string) => ports.reduce((done, port, at) => done.replaceAll(String(port), portName(at)), text)
  return JSON.stringify({ ...finding, messages: finding.messages.map((message) => written(renamed(message, named))) })
}

/** The finding in a file of `found/`, its ports by names. */
export function parseFinding(text: string): Finding {
  const { messages, ...finding } = JSON.parse(text)
  return { ...finding, messages: messages.map(read) }
}

/** The message of a finding that was read, for another place. */
export function atPlace(message: Message, { ports }: Pick<Place, 'ports'>): Message {
  return renamed(message, (text) => ports.reduce((done, port, at) => done.replaceAll(portName(at), String(port)), text))
}

function written(message: Message): Written {
  if (Buffer.isBuffer(message)) return { raw: message.toString('base64') }
  return { ...message, body: message.body.toString('base64') }
}

function read(message: Written): Message {
  if ('raw' in message) return Buffer.from(message.raw, 'base64')
  return { ...message, body: Buffer.from(message.body, 'base64') }
}

function renamed(message: Message, change: (text: string) => string): Message {
  if (Buffer.isBuffer(message)) return message
  const headers = Object.entries(message.headers).map(([name, value]) => [name, change(value)] as const)
  return { ...message, path: change(message.path), headers: Object.fromEntries(headers) }
}
