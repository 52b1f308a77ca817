import { stat } from 'node:fs/promises'
import { Failure } from './failure.ts'
import type { Sandbox } from './sandbox.ts'

/** What is to be copied. */
interface Source {
  readonly directory: boolean
  /** Permissions. */
  readonly mode: number
  readonly size: number
}

const PERMISSIONS = 0o777

/** Looks at a source on this machine, links followed. Throws Failure. */
export async function statLocal(path: string, { recursive }: { readonly recursive: boolean }): Promise<Source> {
  const stats = await stat(path).catch((error: Error) => {
    throw new Failure('not_found', error.message)
  })
  if (!stats.isDirectory() && !stats.isFile()) throw new Failure('usage', `${path} is neither file nor directory`)
  return checked(path, { directory: stats.isDirectory(), mode: stats.mode & PERMISSIONS, size: stats.size }, recursive)
}

/** An entry as JSON (`filesystem.EntryInfo`); of a link it says what it leads to. */
interface Entry {
  readonly type?: string
  readonly mode?: number
  readonly size?: string
}

/** Looks at a source in the sandbox. Throws Failure. */
export async function statRemote(
  sandbox: Sandbox,
  path: string,
  { recursive }: { readonly recursive: boolean },
): Promise<Source> {
  const { entry = {} } = await sandbox.call<{ entry?: Entry }>('filesystem.Filesystem/Stat', { path })
  const directory = entry.type === 'FILE_TYPE_DIRECTORY'
  return checked(path, { directory, mode: (entry.mode ?? 0) & PERMISSIONS, size: Number(entry.size ?? 0) }, recursive)
}

function checked(path: string, source: Source, recursive: boolean): Source {
  if (source.directory && !recursive) throw new Failure('usage', `${path} is a directory: it needs -r`)
  return source
}

/** Whether there is something in the sandbox. Throws Failure. */
export async function existsRemote(sandbox: Sandbox, path: string): Promise<boolean> {
  try {
    await sandbox.call('filesystem.Filesystem/Stat', { path })
    return true
  } catch (error) {
    if (error instanceof Failure && error.code === 'not_found') return false
    throw error
  }
}
