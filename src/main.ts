import { type Config, readCommand } from './config.ts'
import { VERSION } from './version.ts'

/** The commit this was built from; put in by the build, absent when the sources run directly. */
declare const ENVD_COMMIT: string | undefined

/** The daemon promises its supervisor to be gone this long after it was asked to stop. */
const LAST_RESORT_MS = 4_500

const USAGE_EXIT = 2
const FAILURE_EXIT = 1

const command = readCommand(process.argv.slice(2))
switch (command.kind) {
  case 'version':
    process.stdout.write(`${VERSION}\n`)
    break
  case 'commit':
    process.stdout.write(`${typeof ENVD_COMMIT === 'string' ? ENVD_COMMIT : ''}\n`)
    break
  case 'usage':
    process.stderr.write(command.problem === '' ? `${command.text}\n` : `${command.problem}\n${command.text}\n`)
    process.exitCode = command.problem === '' ? 0 : USAGE_EXIT
    break
  case 'run':
    void run(command.config)
}

async function run(config: Config): Promise<void> {
  // Only here, so that -version answers without loading the server.
  const { leave, serve } = await import('./serve.ts')
  leave((await serve(config, LAST_RESORT_MS)) ? 0 : FAILURE_EXIT)
}
