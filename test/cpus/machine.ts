import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Cpus, openCpus } from '../../src/cpus/cpus.ts'
import { type LogLine, recordingLog } from '../_util/recording-log.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

/** A copy of the recorded tree of a machine with four CPUs, of which two are online, and what plays its kernel. */
export interface CpuMachine extends AsyncDisposable {
  readonly root: string
  readonly runDir: string
  readonly logged: readonly LogLine[]
  readonly cpus: Cpus
  /** What was written into the files, in order: `cpu2=1`. */
  readonly writes: readonly string[]
  /** The list of CPUs that are online. */
  online(): string
  setOnline(list: string): void
  /** What the daemon keeps for the next one. */
  kept(): string
  /** Makes writes for that CPU hang until the test lets them end, in vain. */
  hang(cpu: number): { release(): Promise<void> }
  /** Another daemon on the same machine. */
  restarted(): Promise<Cpus>
}

const RECORDED = fileURLToPath(new URL('fixtures/four-cpus', import.meta.url))
const LOOK_MS = 1

/**
 * Makes one.
 * @param obeys whether a CPU changes when its file is written; default: it does
 */
export async function makeCpuMachine({
  obeys = () => true,
  pause = 20,
}: {
  readonly obeys?: (cpu: number) => boolean
  readonly pause?: number
} = {}): Promise<CpuMachine> {
  const tmp = await makeTmpDir()
  const root = join(tmp.path, 'cpu')
  const runDir = join(tmp.path, 'run')
  cpSync(RECORDED, root, { recursive: true })
  mkdirSync(runDir)
  const writes: string[] = []
  const stuck = new Set<number>()
  const fileOf = (cpu: number) => join(root, `cpu${cpu}`, 'online')
  const states = [1, 2, 3].map((cpu) => ({ cpu, value: readFileSync(fileOf(cpu), 'latin1').trim() }))
  const online = () => readFileSync(join(root, 'online'), 'latin1').split('\n', 1)[0] ?? ''
  const setOnline = (list: string) => writeFileSync(join(root, 'online'), `${list}\n\n`, { flag: 'r+' })
  const kernel = setInterval(() => {
    for (const state of states) {
      // Reading it would hang as well.
      if (stuck.has(state.cpu)) continue
      const value = readFileSync(fileOf(state.cpu), 'latin1').trim()
      // Between the truncation and the write.
      if (value === '' || value === state.value) continue
      writes.push(`cpu${state.cpu}=${value}`)
      // Back to what it was: the kernel refused.
      if (!obeys(state.cpu)) writeFileSync(fileOf(state.cpu), `${state.value}\n`)
      else {
        state.value = value
        const list = states.flatMap(({ cpu, value: now }) => (now === '1' ? [cpu] : []))
        setOnline([0, ...list].join(','))
      }
    }
  }, LOOK_MS)
  const devNull = openSync('/dev/null', 'r')
  const { log, lines: logged } = recordingLog()
  const open = () => openCpus({ runDir, devNull, log, root, pause })
  const opened: Cpus[] = [await open()]
  const [cpus] = opened
  if (cpus === undefined) throw new Error('it was opened')
  return {
    root,
    runDir,
    logged,
    cpus,
    writes,
    online,
    setOnline,
    kept: () => readFileSync(join(runDir, 'cpu-target'), 'latin1'),
    hang: (cpu) => {
      stuck.add(cpu)
      rmSync(fileOf(cpu))
      execFileSync('mkfifo', [fileOf(cpu)])
      return {
        release: async () => {
          await once(spawn('cat', [fileOf(cpu)], { stdio: 'ignore' }), 'exit')
        },
      }
    },
    restarted: async () => {
      const next = await open()
      opened.push(next)
      return next
    },
    async [Symbol.asyncDispose]() {
      for (const one of opened) await one.close()
      clearInterval(kernel)
      await tmp[Symbol.asyncDispose]()
    },
  }
}
