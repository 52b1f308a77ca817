import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A fresh directory that all users may enter, removed with all that is in it when disposed. */
export interface TmpDir extends AsyncDisposable {
  readonly path: string
}

/** @param mode permission bits; mkdtemp alone would keep other users out. */
export async function makeTmpDir(mode = 0o777): Promise<TmpDir> {
  const path = await mkdtemp(join(tmpdir(), 'envd-test-'))
  await chmod(path, mode)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
}
