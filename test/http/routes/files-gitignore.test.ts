import { execFileSync } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { type FilesFront, startFilesFront } from '../files-front.ts'

const FILES = {
  '.gitignore':
    '\ufeff# comment\r\n*.log\r\n!keep.log\n/build\nout/\ndeep/**/x\n\\#hash\ntrailing \nsp\\ \n[ab].txt\nfoo/*\n!foo/in\n',
  'a.log': '',
  'keep.log': '',
  'build/x': '',
  'src/build/x': '',
  'out/x': '',
  'src/out/y': '',
  'deep/1/2/x': '',
  'deep/1/y': '',
  '#hash': '',
  trailing: '',
  'a.txt': '',
  'c.txt': '',
  'foo/in': '',
  'foo/not': '',
  'src/.gitignore': '!*.log\nlocal\n/only\n*\n!*/\n!.gitignore\n!main.ts\n',
  'src/b.log': '',
  'src/local': '',
  'src/main.ts': '',
  'src/sub/main.ts': '',
  'src/sub/only': '',
  'empty-rules/.gitignore': '\n',
  'empty-rules/f.log': '',
  'empty-rules/f': '',
} as const

async function makeProject(files: FilesFront): Promise<string> {
  const tree = join(files.dir, 'project')
  for (const [name, content] of Object.entries(FILES)) {
    await mkdir(dirname(join(tree, name)), { recursive: true })
    await writeFile(join(tree, name), content)
  }
  await symlink('nowhere.log', join(tree, 'link.log'))
  return tree
}

function run(command: string, args: readonly string[], cwd: string, input?: Uint8Array): string[] {
  const env = { ...process.env, HOME: cwd, GIT_CONFIG_NOSYSTEM: '1' }
  const output = execFileSync(command, args, { cwd, env, encoding: 'utf8', ...(input && { input }) })
  return output
    .split(/[\0\n]/)
    .filter((name) => name !== '')
    .sort()
}

test.each(['tar', 'zip'])('gitignore=1: what git would not take is left out of a %s', async (format) => {
  await using files = await startFilesFront()
  const tree = await makeProject(files)
  run('git', ['init', '-q'], tree)
  const wanted = run('git', ['ls-files', '-z', '-c', '-o', '--exclude-standard'], tree)
  expect(wanted.length).toBeGreaterThan(8)
  const { status, body } = await files.get({ path: tree, format, gitignore: '1' })
  expect(status).toBe(200)
  const archive = join(files.dir, 'archive')
  await writeFile(archive, body)
  const listed = run('bsdtar', ['-tf', archive], files.dir).map((name) => name.replace(/^\.\//, ''))
  expect(listed.filter((name) => name !== '' && !name.endsWith('/'))).toEqual(wanted)
})

test('gitignore=0 and none take all, another value is refused, and exclude= counts as well', async () => {
  await using files = await startFilesFront()
  const tree = await makeProject(files)
  const list = async (query: Record<string, string>) => {
    const { body } = await files.get({ path: tree, format: 'tar', ...query })
    return run('tar', ['-tf', '-'], files.dir, body)
  }
  expect(await list({ gitignore: '0' })).toEqual(await list({}))
  expect((await list({ gitignore: '1', exclude: 'keep.log' })).some((name) => name.endsWith('.log'))).toBe(false)
  expect((await files.get({ path: tree, format: 'tar', gitignore: 'yes' })).status).toBe(400)
})

test('a directory whose .gitignore is too large is left out, and named', async () => {
  await using files = await startFilesFront()
  const tree = await makeProject(files)
  await writeFile(join(tree, 'src/.gitignore'), 'x\n'.repeat(10_000))
  const { body } = await files.get({ path: tree, format: 'tar', gitignore: '1' })
  const names = run('tar', ['-tf', '-'], files.dir, body)
  expect(names.filter((name) => name.startsWith('src/') && name !== 'src/')).toEqual([])
  expect(files.logged.map(({ message }) => message)).toContain('entries were left out of an archive')
})
