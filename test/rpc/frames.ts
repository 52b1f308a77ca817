import { envelopes } from '../_util/rpc.ts'

/** The envelopes of a whole body. Throws if it ends within one. */
export async function framesOf(body: Buffer): Promise<{ flags: number; payload: Buffer }[]> {
  const frames: { flags: number; payload: Buffer }[] = []
  const whole = async function* () {
    yield body
  }
  for await (const frame of envelopes(whole())) frames.push(frame)
  return frames
}
