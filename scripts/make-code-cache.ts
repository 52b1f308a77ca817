/**
 * Writes the code cache of the program in DIRECTORY: what V8 has compiled after one run that starts, listens and serves
 * some calls of each kind. Run with the flags of the daemon, on which the cache depends: node FLAGS make-code-cache.ts
 * DIRECTORY RUN-DIRECTORY. No cache is there afterwards, with a message, if the daemon does not start, a call fails, V8
 * would not take the cache, or all of it takes more than ten minutes; without a keeper it ends with 1 then.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import v8 from 'node:v8'
import { CODE_CACHE, loadProgram } from '../src/program.ts'
import { exercise } from './exercise.ts'

/** All of it takes two seconds, and some minutes where the processor is emulated; a build must not wait for ever. */
const TIMEOUT_MS = 600_000

const [given, runDirectory] = process.argv.slice(2)
if (given === undefined || runDirectory === undefined)
  throw new Error('usage: make-code-cache.ts DIRECTORY RUN-DIRECTORY')
const directory = resolve(given)

const port = await freePort()
process.argv.splice(
  2,
  2,
  '-isnotfc',
  '-no-cgroups',
  '-port',
  String(port),
  '-address',
  '127.0.0.1',
  '-run-dir',
  runDirectory,
)
setTimeout(() => fail(new Error(`the code cache is not there after ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS).unref()
try {
  await makeCache()
} catch (error) {
  // The daemon in this process logs uncaught exceptions, and goes on.
  fail(error)
}
process.kill(process.pid, 'SIGTERM')

async function makeCache(): Promise<void> {
  // The cache is bound to the flags of V8 in force when it is made, and taken before the daemon sets its own.
  v8.setFlagsFromString = () => {}
  const { script, run } = loadProgram(directory)
  run()
  const url = `http://127.0.0.1:${port}`
  await answers(`${url}/health`)
  await exercise(url)
  writeFileSync(join(directory, CODE_CACHE), script.createCachedData())
  if (loadProgram(directory).script.cachedDataRejected) throw new Error('V8 does not take the code cache that it made')
}

/** With a keeper, which would start it again after any other end, it ends in order, and without a cache. */
function fail(error: unknown): void {
  console.error(error)
  rmSync(join(directory, CODE_CACHE), { force: true })
  if (process.env['ENVD_KEEPER'] === undefined) process.exit(1)
  process.kill(process.ppid, 'SIGTERM')
}

/** Waits until the daemon answers. */
async function answers(url: string): Promise<void> {
  const giveUp = AbortSignal.timeout(TIMEOUT_MS)
  for (;;) {
    giveUp.throwIfAborted()
    const response = await fetch(url, { signal: giveUp }).catch(() => undefined)
    if (response?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
