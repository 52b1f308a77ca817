import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createUsers, type Users } from '../../src/users/users.ts'
import { makeTmpDir } from './tmp-dir.ts'

/** A directory with a passwd and a group file of its own, and the home of a user who is in them. */
export interface People extends AsyncDisposable {
  /** The directory, which all users may enter. */
  readonly dir: string
  readonly users: Users
  /** `ann`: uid and gid 23456 as root, else those of who runs the test, so that files can be given to her. */
  readonly ann: { readonly uid: number; readonly gid: number; readonly home: string }
}

/** Makes a user `ann` with a home below a fresh directory. No account of the machine is touched. */
export async function makePeople(): Promise<People> {
  const tmp = await makeTmpDir(0o755)
  const root = process.getuid?.() === 0
  const uid = root ? 23456 : (process.getuid?.() ?? 0)
  const gid = root ? 23456 : (process.getgid?.() ?? 0)
  const home = join(tmp.path, 'home')
  await mkdir(home)
  const passwd = join(tmp.path, 'passwd')
  const group = join(tmp.path, 'group')
  await writeFile(passwd, `root:x:0:0::/root:/bin/sh\nann:x:${uid}:${gid}::${home}:/bin/sh\n`)
  await writeFile(group, `root:x:0:\nann:x:${gid}:\n`)
  return {
    dir: tmp.path,
    users: createUsers({ passwd, group }),
    ann: { uid, gid, home },
    [Symbol.asyncDispose]: () => tmp[Symbol.asyncDispose](),
  }
}
