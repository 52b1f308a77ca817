import type { ProcessMessage, Stream } from '../_util/rpc.ts'

/** Reads up to the pid; throws if something else comes first. */
export async function startedPid(stream: Stream<ProcessMessage>): Promise<number> {
  const { event } = await stream.next()
  if (event.start === undefined) throw new Error(`not a start event: ${JSON.stringify(event)}`)
  return event.start.pid
}

/** Reads output of every kind until it contains `text`, and gives all that was read. */
export async function outputUntil(stream: Stream<ProcessMessage>, text: string | RegExp): Promise<string> {
  let seen = ''
  const found = () => (typeof text === 'string' ? seen.includes(text) : text.test(seen))
  while (!found()) {
    const { event } = await stream.next()
    if (event.end !== undefined) throw new Error(`ended before ${text} came: ${JSON.stringify(event.end)}, ${seen}`)
    seen += dataOf({ event }).toString('latin1')
  }
  return seen
}

/** The bytes of a data event of any kind; empty for other events. */
export function dataOf({ event }: ProcessMessage): Buffer {
  const { stdout, stderr, pty } = event.data ?? {}
  return Buffer.from(stdout ?? stderr ?? pty ?? '', 'base64')
}

/** Runs `work` for 0 to `count` - 1, `width` at a time. Rejects with the first failure. */
export async function inParallel(
  count: number,
  width: number,
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const lane = async () => {
    for (let index = next++; index < count; index = next++) await work(index)
  }
  await Promise.all(Array.from({ length: width }, lane))
}
