import { open, rename, rm } from 'node:fs/promises'

interface ReplaceOptions {
  /** Permission bits, whatever the umask says. */
  readonly mode: number
  /** Default: the daemon's own user and group. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined
  /** The file that is written and then renamed, in the same directory; default: `PATH.new`, one writer at a time. */
  readonly temporary?: string
  /** Waits until the content is on the disk, so that it also survives a crash of the machine. */
  readonly durable?: boolean
  /** Asked just before the renaming; false leaves the present file. */
  readonly condition?: () => Promise<boolean>
}

/**
 * Replaces a file by rename(2): readers, and a daemon that comes after a crash of this one, find the old content or the
 * new one, never a part. Resolves with whether it was replaced; rejects with the system error. The temporary file is
 * removed in both cases; a crash may leave it.
 */
export async function replaceFile(path: string, content: string | Buffer, options: ReplaceOptions): Promise<boolean> {
  const { mode, owner, temporary = `${path}.new`, durable = false, condition } = options
  let replaced = false
  try {
    const file = await open(temporary, 'w', 0o600)
    try {
      await file.writeFile(content)
      if (owner !== undefined) await file.chown(owner.uid, owner.gid)
      await file.chmod(mode)
      if (durable) await file.datasync()
    } finally {
      await file.close()
    }
    if (condition !== undefined && !(await condition())) return false
    await rename(temporary, path)
    replaced = true
    return true
  } finally {
    if (!replaced) await rm(temporary, { force: true }).catch(() => {})
  }
}
