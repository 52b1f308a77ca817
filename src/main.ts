import { writeSync } from 'node:fs'
import { type Config, readInvocation } from './config.ts'
import { COMMIT, VERSION } from './version.ts'

/** The daemon has ended so many milliseconds after SIGTERM or SIGINT. */
const LAST_RESORT_MS = 4_500

const STDOUT = 1
const STDERR = 2

const USAGE_EXIT = 2
const FAILURE_EXIT = 1

const invocation = readInvocation(process.argv.slice(2))
switch (invocation.kind) {
  case 'version':
    process.stdout.write(`${VERSION}\n`)
    break
  case 'commit':
    process.stdout.write(`${COMMIT}\n`)
    break
  case 'usage':
    process.stderr.write(
      invocation.problem === '' ? `${invocation.text}\n` : `${invocation.problem}\n${invocation.text}\n`,
    )
    process.exitCode = invocation.problem === '' ? 0 : USAGE_EXIT
    break
  case 'capabilities':
    void printCapabilities(invocation.config)
    break
  case 'self-test':
    void test(invocation.config)
    break
  case 'run':
    void run(invocation.config)
}

async function printCapabilities(config: Config): Promise<void> {
  const { askCapabilities } = await import('./capabilities/ask.ts')
  try {
    process.stdout.write(await askCapabilities(config))
  } catch (error) {
    const reason = error instanceof Error ? error.message : error
    process.stderr.write(`no daemon says what it can: ${reason}\n`)
    process.exitCode = FAILURE_EXIT
  }
}

async function test(config: Config): Promise<void> {
  const [{ selfTest }, { leave }] = await Promise.all([import('./self-test.ts'), import('./serve.ts')])
  try {
    writeSync(STDOUT, `${await selfTest(config)}\n`)
    leave(0)
  } catch (error) {
    writeSync(STDERR, `self-test: ${error instanceof Error ? error.message : error}\n`)
    leave(FAILURE_EXIT)
  }
}

async function run(config: Config): Promise<void> {
  // Under a loader or a pinned Node the kernel knows it by another name; `pidof envd` is how it is found. It takes the
  // place of the arguments as well, which every user may read meanwhile.
  process.title = 'envd'
  // Only here, so that -version answers without loading the server.
  const { leave, serve } = await import('./serve.ts')
  leave((await serve(config, LAST_RESORT_MS)) ? 0 : FAILURE_EXIT)
}
