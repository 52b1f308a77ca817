import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { vi } from 'vitest'

/** The monitor of a QEMU process: JSON over a socket (QEMU Machine Protocol). */
export interface Qmp {
  /** Resolves with what the command returns; rejects with the monitor's error, and when the process has ended. */
  command(name: string, args?: object): Promise<unknown>
  /** Names of all events so far, in their order. */
  readonly events: readonly string[]
  close(): void
}

interface Message {
  readonly return?: unknown
  readonly error?: { readonly desc: string }
  readonly event?: string
}

/** Connects to a monitor as soon as it listens. One command at a time. */
export async function connectQmp(path: string): Promise<Qmp> {
  const socket = await vi.waitFor(
    async () => {
      const opened = connect(path)
      await once(opened, 'connect')
      return opened
    },
    { timeout: 20_000, interval: 50 },
  )
  const events: string[] = []
  const waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = []
  const fail = () => {
    for (const { reject } of waiting.splice(0)) reject(new Error('the machine has ended'))
  }
  socket.on('error', fail).on('close', fail)
  createInterface({ input: socket }).on('line', (line) => {
    // What the protocol says of its messages; the greeting has none of these fields.
    const message = JSON.parse(line) as Message
    if (message.event !== undefined) events.push(message.event)
    else if (message.error !== undefined) waiting.shift()?.reject(new Error(message.error.desc))
    else if ('return' in message) waiting.shift()?.resolve(message.return)
  })
  const command = (name: string, args?: object) =>
    new Promise((resolve, reject) => {
      if (socket.closed) return reject(new Error('the machine has ended'))
      waiting.push({ resolve, reject })
      socket.write(`${JSON.stringify({ execute: name, ...(args && { arguments: args }) })}\n`)
    })
  await command('qmp_capabilities')
  return { command, events, close: () => socket.destroy() }
}
