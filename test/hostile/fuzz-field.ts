import { mkdir, rm } from 'node:fs/promises'
import type { TestContext } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { atPlace, type Message, parseFinding } from './finding.ts'
import { type LimitedDaemon, startLimited } from './limited-daemon.ts'
import type { Place } from './message-parts.ts'
import { startOddServer } from './odd-server.ts'
import { createSender, type Ended, type Sender } from './sender.ts'

/** Messages that are under way at a time. */
export const AT_ONCE = 24

/** A daemon that messages are sent to, and what they reach. Disposing ends all, and removes the directory. */
export interface FuzzField extends AsyncDisposable {
  readonly daemon: LimitedDaemon
  readonly place: Place
  /** Rejects with the message, shortened, when there is no answer. */
  send(message: Message): Promise<Ended>
  /** What went wrong since the last look, beside answers that did not come; undefined: nothing. */
  problem(): Promise<string | undefined>
  /** Ends the connections. */
  close(): void
}

/** Makes the directory, empty, and starts the daemon; `seed` chooses how the server of relayed requests answers. */
export async function openFuzzField(context: TestContext, directory: string, seed: number): Promise<FuzzField> {
  await using begun = new AsyncDisposableStack()
  const empty = () => rm(directory, { recursive: true, force: true })
  begun.defer(empty)
  await empty()
  await mkdir(`${directory}/c`, { recursive: true })
  // A path that is left out must not mean the home of the machine's root, whose listing takes its time.
  const home = ['-default-workdir', directory, '-default-home', directory]
  const daemon = begun.use(await startLimited(context, home))
  const odd = begun.use(await startOddServer(seed))
  const sender = createSender(daemon.url)
  begun.defer(() => sender.close())
  const held = begun.move()
  return {
    daemon,
    place: { directory, ports: [odd.port, daemon.port] },
    send: (message) => deliver(sender, message),
    problem: problemOf(daemon),
    close: () => sender.close(),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

async function deliver(sender: Sender, message: Message): Promise<Ended> {
  if (!Buffer.isBuffer(message)) return sender.send(message)
  await sender.sendRaw(message)
  return 'closed'
}

function problemOf(daemon: LimitedDaemon): () => Promise<string | undefined> {
  let [logged, errors] = [0, 0]
  return async () => {
    const [log, text] = [daemon.stdout(), daemon.stderr()]
    const found = /.*failed unexpectedly.*/.exec(log.slice(logged)) ?? /.*(\n\s+at |Warning).*/.exec(text.slice(errors))
    ;[logged, errors] = [log.length, text.length]
    if (found !== null) return found[0]
    const health = await sendWhole(`${daemon.url}/health`).catch(String)
    if (typeof health !== 'string' && health.status === 204) return undefined
    return `not healthy: ${typeof health === 'string' ? health : health.status}`
  }
}

/**
 * Sends the messages of a finding (`findingText`) in their order, many at a time, to a daemon of their own. The problem
 * that there was; undefined: all were answered.
 */
export async function replay(context: TestContext, text: string): Promise<string | undefined> {
  const { directory, seed, messages } = parseFinding(text)
  await using field = await openFuzzField(context, directory, seed)
  const left = messages.values()
  const lane = async () => {
    for (const message of left) await field.send(atPlace(message, field.place))
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, lane))
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  // Before the daemon ends.
  return await field.problem()
}
