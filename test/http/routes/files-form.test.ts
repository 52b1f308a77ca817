import { createHash } from 'node:crypto'
import { chown, mkdir, readdir, readFile, readlink, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsRoot } from '../../_util/namespace.ts'
import { type FilesFront, failed, startFilesFront } from '../files-front.ts'

test('a form that is cut in a part is refused, with the connection still up', async () => {
  await using files = await startFilesFront()
  const body = form([['file', 'a', 'complete']]).slice(0, -8)
  expect(await postForm(files, {}, body)).toMatchObject({ status: 400 })
  await expect.poll(() => openFilesBelow(files.dir)).toBe(0)
})

test('B33 a form of another kind, without boundary or broken is a bad request', async () => {
  await using files = await startFilesFront()
  const post = (type: string, body: string) => files.post('', body, { 'content-type': type })
  const whole = form([['file', join(files.dir, 'a'), 'x']])
  expect((await post('multipart/mixed; boundary=x', whole)).status).toBe(200)
  const parsing = 'error parsing multipart form:'
  expect(await post('multipart/related; boundary=x', whole)).toMatchObject(
    failed(400, `${parsing} request Content-Type isn't multipart/form-data`),
  )
  for (const type of ['multipart/form-data', 'multipart/form-data; boundary=']) {
    expect(await post(type, whole)).toMatchObject(failed(400, `${parsing} no multipart boundary param in Content-Type`))
  }
  for (const body of ['', 'garbage', '--y--', whole.slice(0, 20), whole.slice(0, -20)]) {
    const answer = await post('multipart/form-data; boundary=x', body)
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('error reading form: ')
  }
  expect((await post('multipart/form-data; boundary="x"', whole)).status).toBe(200)
})

const FILE = 'Content-Disposition: form-data; name="file"; filename="a"'

test.each([
  ['a boundary line with padding', `--x  \r\n${FILE}\r\n\r\nc\r\n--x--\r\n`],
  ['a header line without a colon', `--x\r\nnonsense\r\n${FILE}\r\n\r\nc\r\n--x--\r\n`],
  ['a header without its end', `--x\r\n${FILE}\r\n--x--\r\n`],
  ['a header without its end, and another part', `--x\r\n${FILE}\r\n--x\r\n${FILE}\r\n\r\nc\r\n--x--\r\n`],
  ['no header', '--x\r\n\r\nc\r\n--x--\r\n'],
  ['nothing at all', '--x\r\n--x--\r\n'],
  ['no Content-Disposition', '--x\r\nContent-Type: text/plain\r\n\r\nc\r\n--x--\r\n'],
  ['no name', '--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\nc\r\n--x--\r\n'],
  ['a name that does not end', '--x\r\nContent-Disposition: form-data; name="file\r\n\r\nc\r\n--x--\r\n'],
  ['its name after 70 other lines', `--x\r\n${'A: b\r\n'.repeat(70)}${FILE}\r\n\r\nc\r\n--x--\r\n`],
  ['its name after 17 KiB', `--x\r\nA: ${'b'.repeat(17_000)}\r\n${FILE}\r\n\r\nc\r\n--x--\r\n`],
  ['lines that end with LF', `--x\n${FILE}\n\nc\n--x--\n`],
])('B33 a part with %s is a bad request, not an empty answer', async (_what, body) => {
  await using files = await startFilesFront()
  const answer = await postForm(files, {}, body)
  expect(answer).toMatchObject({ status: 400, text: expect.stringContaining('error reading form: ') })
  expect(await readdir(files.people.ann.home)).toEqual([])
})

test('B33 B34 lines that end in a line feed alone are refused, and what is encoded is stored as it was sent', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'a')
  const plain = form([['file', path, 'a=3Db']])
  expect(await postForm(files, {}, plain.replaceAll('\r\n', '\n'))).toMatchObject({ status: 400 })
  expect(await readdir(files.dir)).not.toContain('a')
  const encoded = plain.replace('\r\n\r\n', '\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n')
  expect(await postForm(files, {}, encoded)).toMatchObject({ status: 200 })
  expect(await readFile(path, 'utf8')).toBe('a=3Db')
})

test('B34 only parts called file are stored', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'a')
  const mixed = form([
    ['field', undefined, 'text'],
    ['files', join(files.dir, 'no'), 'x'],
    ['file', path, 'yes'],
    ['File', join(files.dir, 'no'), 'x'],
  ])
  expect(JSON.parse((await postForm(files, {}, mixed)).text)).toEqual([{ name: 'a', path, type: 'file' }])
  expect(await readdir(files.dir)).not.toContain('no')
  expect(await postForm(files, {}, form([['other', 'x', 'x']]))).toMatchObject({ status: 200, text: '[]' })
  expect(await postForm(files, {}, '--x--\r\n')).toMatchObject({ status: 200, text: '[]' })
})

test('B35 parts go where their file names say, directories and all', async () => {
  await using files = await startFilesFront()
  const { home } = files.people.ann
  const names = [`${files.dir}/deep/er/c.txt`, 'rel/d.txt', '../up.txt', '~/tilde', '日本/😀.txt', 'q%22uote', 'sp ace']
  const body = form(names.map((name) => ['file', name, `content of ${name}`]))
  const stored = JSON.parse((await postForm(files, {}, body)).text).map((file: { path: string }) => file.path)
  const resolved = ['rel/d.txt', '../up.txt', 'tilde', '日本/😀.txt', 'q"uote', 'sp ace'].map((name) =>
    join(home, name),
  )
  expect(stored).toEqual([names[0], ...resolved])
  expect(await readFile(join(home, 'q"uote'), 'utf8')).toBe('content of q%22uote')
})

test('B35 a path in the query beats file names, and needs none', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  for (const name of ['blob', undefined, '']) {
    const answer = await postForm(files, { path }, form([['file', name, `by ${name}`]]))
    expect(JSON.parse(answer.text)).toEqual([{ name: 'f', path, type: 'file' }])
    expect(await readFile(path, 'utf8')).toBe(`by ${name}`)
  }
  expect(await postForm(files, {}, form([['file', undefined, 'x']]))).toMatchObject(
    failed(400, 'error getting multipart custom part file name: filename not found in Content-Disposition header'),
  )
})

test('B36 two parts for one path are refused, with what was stored before', async () => {
  await using files = await startFilesFront()
  const at = (name: string) => join(files.dir, name)
  const text = (path: string) =>
    `you cannot upload multiple files to the same path '${path}' in one upload request, only the first specified file was uploaded`
  const twice = form([
    ['file', at('a'), '1'],
    ['file', at('a'), '2'],
  ])
  expect(await postForm(files, {}, twice)).toMatchObject(failed(400, text(at('a'))))
  expect(await readFile(at('a'), 'utf8')).toBe('1')
  for (const others of [['b'], ['b', 'c']]) {
    const parts = form([...others, 'a', './a'].map((name) => ['file', `${files.dir}/${name}`, name]))
    const list = others.map(at).join(', ')
    expect(await postForm(files, {}, parts)).toMatchObject(
      failed(400, `${text(`${files.dir}/./a`)}, also the following files were uploaded: ${list}`),
    )
  }
})

test('B33 a thousand small parts and one large one arrive in order', async () => {
  await using files = await startFilesFront()
  const large = 'large\r\n--y \r\n-\r\n--\r no boundary '.repeat(100_000)
  const parts: FormPart[] = Array.from({ length: 1000 }, (_, i) => ['file', join(files.dir, 'many', String(i)), `${i}`])
  const answer = await postForm(files, {}, form([...parts, ['file', join(files.dir, 'large'), large]]))
  expect(JSON.parse(answer.text).map((file: { name: string }) => file.name)).toEqual([
    ...parts.map((_, i) => String(i)),
    'large',
  ])
  expect((await readFile(join(files.dir, 'large'), 'utf8')) === large).toBe(true)
  expect(await readFile(join(files.dir, 'many/999'), 'utf8')).toBe('999')
})

test('B33 parts of any size around what is stored at once are whole, new and in the place of longer files', async () => {
  await using files = await startFilesFront()
  const sizes = [0, 1, 65_535, 65_536, 65_537, 0, 300_000, 2]
  const parts = sizes.map((size, i): FormPart => ['file', join(files.dir, 'sizes', String(i)), 'x'.repeat(size)])
  const longer = parts.map(([name, path, content]): FormPart => [name, path, `${content} and more`])
  for (const query of [{}, { mode: 'atomic' }, { mode: 'overwrite' }])
    for (const sent of [parts, longer, parts]) {
      expect(await postForm(files, query, form(sent))).toMatchObject({ status: 200 })
      for (const [, path = '', content] of sent) expect((await readFile(path, 'utf8')) === content, path).toBe(true)
    }
})

test.each(['\r\n--', '\r\n--a', '\r', '\r\n-'])(
  'B33 content of %j over and over, which all but is a boundary, is stored as it is',
  async (piece) => {
    await using files = await startFilesFront()
    const content = piece.repeat(250_000)
    const body = `--b\r\nContent-Disposition: form-data; name="file"; filename="${join(files.dir, 'f')}"\r\n\r\n${content}\r\n--b--\r\n`
    const headers = { 'content-type': 'multipart/form-data; boundary=b' }
    for (let i = 0; i < 5; i++) {
      expect(await files.post({}, body, headers)).toMatchObject({ status: 200 })
      expect((await readFile(join(files.dir, 'f'), 'latin1')) === content).toBe(true)
    }
  },
)

test('B11 a signature without a path is for names below the home directory only', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  files.front.token.set('secret')
  const { home, uid, gid } = files.people.ann
  await chown(home, uid, gid)
  const sign = (path: string) =>
    `v1_${createHash('sha256').update(`${path}:write::secret`).digest('base64').replaceAll('=', '')}`
  const post = (name: string, query: Record<string, string> = {}) =>
    postForm(files, { signature: sign(query['path'] ?? ''), ...query }, form([['file', name, 'x']]))
  for (const name of ['report.csv', 'a/b/c', 'a/..b', '...']) {
    expect(await post(name)).toMatchObject({ status: 200, text: expect.stringContaining(join(home, name)) })
    expect(await readFile(join(home, name), 'utf8')).toBe('x')
  }
  expect((await post('empty-path', { path: '' })).status).toBe(200)
  // Root's links are followed elsewhere.
  await mkdir(join(files.dir, 'out'))
  await symlink(join(files.dir, 'out'), join(home, 'out'))
  await symlink(join(files.dir, 'out/file'), join(home, 'file'))
  await symlink('a', join(home, 'in'))
  const names = [
    join(files.dir, 'any'),
    join(home, 'inside'),
    '../any',
    'a/../../any',
    'a/..',
    '..',
    '~/any',
    '~ann',
    'out/any',
    'out/a/b',
    'file',
    'out',
    'nul\0l',
  ]
  for (const name of names) expect(await post(name), name).toMatchObject({ status: 400 })
  expect((await post('in/f')).status).toBe(200)
  const path = join(files.dir, 'one')
  expect((await post(join(files.dir, 'any'), { path })).status).toBe(200)
  expect(await readdir(files.dir)).not.toContain('any')
  expect(await readdir(join(files.dir, 'out'))).toEqual([])
})

type FormPart = readonly [name: string, filename: string | undefined, content: string]

function form(parts: readonly FormPart[]): string {
  const texts = parts.map(([name, filename, content]) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`
    return `--x\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${content}\r\n`
  })
  return `${texts.join('')}--x--\r\n`
}

function postForm(files: FilesFront, query: Record<string, string>, body: string) {
  return files.post(query, body, { 'content-type': 'multipart/form-data; boundary=x' })
}

async function openFilesBelow(dir: string): Promise<number> {
  const descriptors = await readdir('/proc/self/fd')
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return targets.filter((target) => target.startsWith(`${dir}/`)).length
}
