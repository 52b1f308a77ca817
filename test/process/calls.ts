import { type Answer, type CallOptions, call, open, type ProcessMessage, type Stream } from '../_util/rpc.ts'

export type Selector = { readonly pid: number } | { readonly tag: string }

/** Input as bytes, or as text in UTF-8. */
export type Input = { readonly stdin: Uint8Array | string } | { readonly pty: Uint8Array | string }

/** One line of `List`. */
export interface Listed {
  readonly pid: number
  readonly tag?: string
  readonly config: {
    readonly cmd: string
    readonly args?: readonly string[]
    readonly envs?: Readonly<Record<string, string>>
    readonly cwd?: string
  }
}

/** What an error answer says. */
export interface Refusal {
  readonly code?: string
  readonly message?: string
}

export async function list(url: string): Promise<readonly Listed[]> {
  const { body } = await call(url, 'process.Process/List', {})
  // The shape that the wire schema gives; an empty list is left out.
  return (body as { processes?: Listed[] }).processes ?? []
}

export function connect(url: string, process: Selector, options?: CallOptions): Promise<Stream<ProcessMessage>> {
  return open(url, 'process.Process/Connect', { process }, options)
}

/** Input in the form of its JSON message. */
export function inputMessage(input: Input): Record<string, string> {
  return Object.fromEntries(
    Object.entries(input).map(([kind, data]: [string, Uint8Array | string]) => [
      kind,
      Buffer.from(data as Uint8Array).toString('base64'),
    ]),
  )
}

export function sendInput(url: string, process: Selector, input: Input, options?: CallOptions): Promise<Answer> {
  return call(url, 'process.Process/SendInput', { process, input: inputMessage(input) }, options)
}

export function closeStdin(url: string, process: Selector): Promise<Answer> {
  return call(url, 'process.Process/CloseStdin', { process })
}

export function sendSignal(url: string, process: Selector, signal: string | number): Promise<Answer> {
  return call(url, 'process.Process/SendSignal', { process, signal })
}

export function kill(url: string, process: Selector): Promise<Answer> {
  return sendSignal(url, process, 'SIGNAL_SIGKILL')
}

export function resize(url: string, process: Selector, size: { cols: number; rows: number }): Promise<Answer> {
  return call(url, 'process.Process/Update', { process, pty: { size } })
}
