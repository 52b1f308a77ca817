import { readFile } from 'node:fs/promises'

/** Whose sandboxes these are. */
export interface Person {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/** `user`, as in the product's templates, where there is one and this process may act for it; else who runs this. */
export async function defaultPerson(): Promise<Person> {
  const uid = process.getuid?.() ?? 0
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  const people = lines.map(([name = '', , number, group, , home = '/']) => ({
    name,
    uid: Number(number),
    gid: Number(group),
    home,
  }))
  const user = uid === 0 ? people.find(({ name }) => name === 'user') : undefined
  const nobody = { name: String(uid), uid, gid: process.getgid?.() ?? 0, home: '/' }
  return user ?? people.find((person) => person.uid === uid) ?? nobody
}
