import { createHash } from 'node:crypto'
import { createTimeSlice, type TimeSlice } from '../lib/time-slice.ts'
import type { LaunchRequest } from './launch.ts'

/** UTF-16 units that are hashed before the clock is looked at: far below 1 ms. */
const PIECE = 64 * 1024

/**
 * SHA-256 of what a start asks for and as whom, in base64: the same for two requests that say the same, whatever the
 * order of their variables. Requests of megabytes are hashed in slices.
 */
export async function startDigest(command: Omit<LaunchRequest, 'user' | 'signal'>, user: string): Promise<string> {
  const { config, tag, terminal, stdin, limits } = command
  const { cmd, args, envs, cwd } = config
  const slice = createTimeSlice()
  const settings = JSON.stringify({ terminal, stdin, limits })
  const variables = await digestOfVariables(envs, slice)
  const texts = [user, settings, variables, optional(cwd), optional(tag), cmd, ...args]
  return (await digestOf(texts, slice)).toString('base64')
}

function optional(text: string | undefined): string {
  return text === undefined ? 'absent' : `text ${text}`
}

/** Independent of their order, which clients of gRPC change at random. */
async function digestOfVariables(envs: Readonly<Record<string, string>>, slice: TimeSlice): Promise<string> {
  const sum = Buffer.alloc(32)
  for (const name in envs) {
    const digest = await digestOf([name, envs[name] ?? ''], slice)
    for (const [index, byte] of digest.entries()) sum[index] = (sum[index] ?? 0) ^ byte
  }
  return sum.toString('base64')
}

async function digestOf(texts: readonly string[], slice: TimeSlice): Promise<Buffer> {
  const hash = createHash('sha256')
  for (const text of texts) {
    hash.update(`${text.length}:`)
    for (let at = 0; at < text.length; at += PIECE) {
      hash.update(text.slice(at, at + PIECE), 'utf16le')
      const wait = slice.next()
      if (wait !== undefined) await wait
    }
  }
  return hash.digest()
}
