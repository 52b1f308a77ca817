import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createUsers } from '../../src/users/users.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

/** A passwd and a group file in a directory of their own, and the users of them. */
export async function makeFiles(passwdText: string, groupText: string) {
  const tmp = await makeTmpDir()
  const passwd = join(tmp.path, 'passwd')
  const group = join(tmp.path, 'group')
  await writeFile(passwd, passwdText)
  await writeFile(group, groupText)
  return { passwd, group, users: createUsers({ passwd, group }), [Symbol.asyncDispose]: tmp[Symbol.asyncDispose] }
}
