import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createHostCommands } from '../../../src/init/host/commands.ts'
import { createMmds, type Mmds, type MmdsParts } from '../../../src/init/mmds/mmds.ts'
import type { MmdsOptions } from '../../../src/init/mmds/options.ts'
import { EnvVars } from '../../../src/users/defaults.ts'
import { type LogLine, recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { type FakeMmds, startFakeMmds } from './fake-mmds.ts'

/**
 * A view of a metadata service that runs here; its ids go to files and variables of the rig's own. Disposing ends both.
 */
export interface MmdsRig extends AsyncDisposable {
  readonly fake: FakeMmds
  readonly mmds: Mmds
  readonly env: EnvVars
  /** What was passed to the log exporter. */
  readonly reported: MmdsOptions[]
  /** Lines for standard error. */
  readonly complaints: string[]
  readonly lines: LogLine[]
  /** The text of a file of the run directory; undefined if there is none. */
  file(name: string): Promise<string | undefined>
}

/** @param parts what is to be otherwise; the way to the service is never repaired, as no iptables is found. */
export async function makeMmdsRig(parts: Partial<MmdsParts> = {}): Promise<MmdsRig> {
  const tmp = await makeTmpDir()
  const fake = await startFakeMmds()
  const env = parts.env ?? new EnvVars()
  const { log, lines } = recordingLog()
  const reported: MmdsOptions[] = []
  const complaints: string[] = []
  const mmds = createMmds({
    runDir: tmp.path,
    onOptions: (options) => void reported.push(options),
    run: createHostCommands('/nowhere').run,
    log,
    writeStderr: (line) => void complaints.push(line),
    client: { base: fake.url },
    ...parts,
    env,
  })
  return {
    fake,
    mmds,
    env,
    reported,
    complaints,
    lines,
    file: (name) => readFile(join(tmp.path, name), 'utf8').catch(() => undefined),
    async [Symbol.asyncDispose]() {
      mmds.close()
      await fake[Symbol.asyncDispose]()
      await tmp[Symbol.asyncDispose]()
    },
  }
}
