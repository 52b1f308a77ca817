import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CaBundle, createCaBundle } from '../../../src/init/host/ca-bundle.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { type LogLine, recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { certificate } from './bundle.ts'

/** What is installed before. */
export const SYSTEM = certificate(1000) + certificate(1001)

/** A machine's bundle of certificates, in a directory of its own. */
export interface Place extends AsyncDisposable {
  readonly directory: string
  readonly certificates: string
  readonly installed: string
  readonly lines: LogLine[]
  /** As after a start of the daemon. */
  restarted(): CaBundle
  read(): Promise<string>
  persisted(): Promise<string>
}

export async function makePlace(): Promise<Place> {
  const directory = await makeTmpDir()
  const certificates = join(directory.path, 'ca-certificates.crt')
  const installed = join(directory.path, 'local/share/e2b-ca.crt')
  await writeFile(certificates, SYSTEM)
  const { log, lines } = recordingLog()
  return {
    directory: directory.path,
    certificates,
    installed,
    lines,
    restarted: () => createCaBundle({ certificates, installed, log }),
    read: () => readFile(certificates, 'utf8'),
    persisted: () => readFile(installed, 'utf8'),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

/** Installs a certificate, and waits until it is kept. */
export async function install(authority: CaBundle, pem: string): Promise<void> {
  await authority.install(pem, NEVER)
  await authority.settled()
}
