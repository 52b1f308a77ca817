import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Script } from 'node:vm'

/** The daemon's program, compiled but not run. */
interface Program {
  readonly script: Script
  /** Runs it in this process, which has the arguments and the environment of the daemon. */
  run(): void
}

/**
 * Names of the program, and of what V8 compiled of it when it was built, in the directory of the build. The program is
 * one function, whose parameters are those of a CommonJS module (`scripts/build`).
 */
const SOURCE = 'envd.cjs'
export const CODE_CACHE = 'envd.cache'

/**
 * Compiles the program in `directory` with the code cache beside it, if there is one; V8 ignores a cache of other flags
 * or of another version. Only reads: Node's own compile cache calls mkdir(2) at each start, which on a frozen disk
 * waits for the thaw. Throws as readFileSync does without the program.
 */
export function loadProgram(directory: string): Program {
  const filename = join(directory, SOURCE)
  const cachedData = readCache(join(directory, CODE_CACHE))
  const bytes = readFileSync(filename)
  const script = new Script(bytes.toString('latin1'), {
    filename,
    ...(cachedData === undefined ? {} : { cachedData }),
  })
  // Left to the garbage collector, these 5.6 MB would bring its first halt sooner.
  free(bytes)
  if (cachedData !== undefined) free(cachedData)
  const run = () => {
    const module = { exports: {} }
    script.runInThisContext()(module.exports, createRequire(filename), module, filename, directory)
  }
  return { script, run }
}

/** Frees what a file was read into. A small file lies in memory that Node shares, which stays. */
function free({ buffer, byteLength }: NonSharedBuffer): void {
  if (buffer.byteLength === byteLength) buffer.transfer(0)
}

function readCache(path: string): NonSharedBuffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}
