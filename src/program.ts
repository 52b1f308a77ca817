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

/** Names of the program, and of what V8 compiled of it when it was built, in the directory of the build. */
const SOURCE = 'envd.cjs'
export const CODE_CACHE = 'envd.cache'

/**
 * Compiles the program in `directory` with the code cache beside it, if there is one; V8 ignores a cache of other flags
 * or of another version. Only reads: Node's own compile cache calls mkdir(2) at each start, which on a frozen disk
 * waits for the thaw. Throws as readFileSync does without the program.
 */
export function loadProgram(directory: string): Program {
  const filename = join(directory, SOURCE)
  const prefix = '(function(exports,require,module,__filename,__dirname){'
  const cachedData = readCache(join(directory, CODE_CACHE))
  const script = new Script(`${prefix}${readFileSync(filename, 'latin1')}\n})`, {
    filename,
    columnOffset: -prefix.length,
    ...(cachedData === undefined ? {} : { cachedData }),
  })
  const run = () => {
    const module = { exports: {} }
    script.runInThisContext()(module.exports, createRequire(filename), module, filename, directory)
  }
  return { script, run }
}

function readCache(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}
