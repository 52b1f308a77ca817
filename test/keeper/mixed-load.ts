import { readdir, readFile, readlink } from 'node:fs/promises'
import { request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { pidOf, start } from '../_util/rpc.ts'
import { digestOf, followExactly, untilAnswered } from './exact-follower.ts'

/** mulberry32: the same numbers for the same seed, from 0 to 1. */
export function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Expected {
  readonly script: string
  /** Digests of what it writes, once it has ended. */
  readonly stdout: (pid: number) => Promise<string>
  readonly stderr: string
}

const NOTHING = digestOf('')
const LINES = Array.from({ length: 40 }, (_, line) => `line ${line + 1} of the count\n`)
const BOTH = Array.from({ length: 30 }, (_, line) => `${line + 1}\n`).join('')
const SEQUENCE = Array.from({ length: 20_000 }, (_, line) => `${line + 1}\n`).join('')

/** Commands that write lines, both streams, much at a time, and bytes of any value, which also go to `file.PID`. */
function commands(file: string): readonly Expected[] {
  const count = (times: number, body: string) => `i=0; while [ $i -lt ${times} ]; do i=$((i+1)); ${body}; done`
  const fixed = (text: string) => async () => digestOf(text)
  return [
    { script: count(40, 'echo "line $i of the count"; sleep 0.01'), stdout: fixed(LINES.join('')), stderr: NOTHING },
    { script: count(30, 'echo $i; echo $i >&2; sleep 0.01'), stdout: fixed(BOTH), stderr: digestOf(BOTH) },
    { script: count(4, 'seq 1 20000; sleep 0.04'), stdout: fixed(SEQUENCE.repeat(4)), stderr: NOTHING },
    {
      script: count(20, `head -c 30001 /dev/urandom | tee -a ${file}.$$; sleep 0.01`),
      stdout: async (pid) => digestOf(await readFile(`${file}.${pid}`)),
      stderr: NOTHING,
    },
  ]
}

/** Runs each kind of command once and follows it. Rejects with what was not as it should be. */
export async function runCommands(url: string, file: string, code: number): Promise<void> {
  await Promise.all(
    commands(file).map(async ({ script, stdout, stderr }, index) => {
      const args = ['-c', `${script}; exit ${code + index}`]
      const pid = await untilAnswered(async () => pidOf(await start(url, 'sh', { args })))
      const { status, digests } = await followExactly(url, pid)
      const wanted = { status: `exit status ${code + index}`, stdout: await stdout(pid), stderr }
      const got = { status, stdout: digests.stdout, stderr: digests.stderr }
      if (JSON.stringify(got) !== JSON.stringify(wanted))
        throw new Error(`command ${index}: ${JSON.stringify({ got, wanted })}`)
    }),
  )
}

const PIECE = Buffer.alloc(20_000, 'upload ')
const PIECES = 15

/** Uploads a file in 300 ms. Rejects if what is there then looks whole and is not, or is not there after a success. */
export async function upload(url: string, path: string): Promise<void> {
  const code = await send(url, path)
  // One that was cut off may be removed at any moment.
  const content = await readFile(path).catch(() => undefined)
  const whole = content?.length === PIECE.length * PIECES
  if (whole && digestOf(content) !== digestOf(Buffer.concat(Array(PIECES).fill(PIECE))))
    throw new Error(`${path} looks whole and is not`)
  if (code === 200 && !whole) throw new Error(`${path} was uploaded and has ${content?.length} bytes`)
}

function send(url: string, path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/octet-stream', 'transfer-encoding': 'chunked' }
    const sending = request(`${url}/files?path=${encodeURIComponent(path)}`, { method: 'POST', headers }, (answer) => {
      answer
        .resume()
        .on('end', () => resolve(answer.statusCode))
        .on('error', () => resolve(undefined))
    })
    sending.on('error', () => resolve(undefined))
    const write = async () => {
      for (let i = 0; i < PIECES && !sending.destroyed; i++) {
        sending.write(PIECE)
        await delay(20)
      }
      sending.end()
    }
    void write()
  })
}

/** Processes below that one which have ended and were not reaped: their lines of proc_pid_stat(5). */
export async function zombiesBelow(pid: number): Promise<string[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const childrenOf = (thread: string) => readFile(`/proc/${pid}/task/${thread}/children`, 'latin1').catch(() => '')
  const children = (await Promise.all(threads.map(childrenOf))).join(' ')
  const below = children.split(' ').flatMap((child) => (child === '' ? [] : Number(child)))
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  const others = await Promise.all(below.map(zombiesBelow))
  return [...(/\) Z /.test(stat) ? [stat] : []), ...others.flat()]
}

/** Open descriptors of a process. */
export async function descriptorsOf(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}

/**
 * What the open descriptors of a process are of, without the numbers by which equal ones differ, sorted. Undefined: one
 * was closed meanwhile.
 */
export async function openKinds(pid: number): Promise<string[] | undefined> {
  const descriptors = await readdir(`/proc/${pid}/fd`)
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  return targets.includes('') ? undefined : targets.map((target) => target.replace(/\[\d+\]/, '')).sort()
}

/** Memory of a process in kilobytes, shared pages by their part: all, of its own, and of memfds (proc_pid_smaps(5)). */
export async function pssOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1')
  const figure = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1])
  return ['Pss', 'Pss_Anon', 'Pss_Shmem'].map(figure)
}
