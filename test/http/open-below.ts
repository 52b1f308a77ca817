import { readdir, readFile, readlink } from 'node:fs/promises'

/** How many files below a directory this process has open. */
export async function openFilesBelow(dir: string): Promise<number> {
  return (await openBelow(dir, process.pid)).length
}

/** The beginnings of files below a directory that a process writes and that have no name. */
export async function unnamedBelow(dir: string, pid = process.pid): Promise<string[]> {
  const open = (await openBelow(dir, pid)).filter(({ target }) => target.includes('/#'))
  const contents = await Promise.all(open.map(({ link }) => readFile(link, 'utf8').catch(() => '')))
  return contents.filter((content) => content !== '').map((content) => content.slice(0, 10))
}

async function openBelow(dir: string, pid: number) {
  const links = (await readdir(`/proc/${pid}/fd`)).map((fd) => `/proc/${pid}/fd/${fd}`)
  const open = await Promise.all(links.map(async (link) => ({ link, target: await readlink(link).catch(() => '') })))
  return open.filter(({ target }) => target.startsWith(`${dir}/`))
}
