import { describe, expect, test } from 'vitest'
import { createSandbox, type Sandbox, type Sdk, sdks, useDaemon } from './sdk.ts'

useDaemon()

/** A directory of the user, removed with the namespace. */
async function directory(sdk: Sdk): Promise<{ sandbox: Sandbox; path: string }> {
  const sandbox = await createSandbox(sdk)
  const { stdout } = await sandbox.commands.run('mktemp -d')
  return { sandbox, path: stdout.trim() }
}

/** Every byte value, in a length that fits no block size. */
const binary = Uint8Array.from({ length: 300_007 }, (_, index) => (index * 7 + (index >> 8)) & 0xff)

describe.each(sdks)('files of e2b $version', (sdk) => {
  test('text is written and read back', async () => {
    const { sandbox, path } = await directory(sdk)
    const info = await sandbox.files.write(`${path}/new/dir/a b ü%20"'.txt`, 'häl\nlo')
    expect(info).toMatchObject({ name: `a b ü%20"'.txt`, type: 'file', path: `${path}/new/dir/a b ü%20"'.txt` })
    expect(await sandbox.files.read(`${path}/new/dir/a b ü%20"'.txt`)).toBe('häl\nlo')
  })

  test('a written file and the directories made for it are of the user', async () => {
    const { sandbox, path } = await directory(sdk)
    await sandbox.files.write(`${path}/x/y.txt`, 'a')
    await sandbox.files.write(`${path}/root.txt`, 'a', { user: 'root' })
    const { stdout } = await sandbox.commands.run(`stat -c '%U:%G %a' ${path}/x ${path}/x/y.txt ${path}/root.txt`)
    expect(stdout).toBe('user:user 755\nuser:user 644\nroot:root 644\n')
  })

  test('a relative path is in the home of the user', async () => {
    const sandbox = await createSandbox(sdk)
    const name = `relative-${sdk.version}.txt`
    expect(await sandbox.files.write(name, 'home')).toMatchObject({ path: `/home/user/${name}` })
    expect(await sandbox.files.read(`~/${name}`)).toBe('home')
    expect((await sandbox.commands.run(`cat ~/${name}`)).stdout).toBe('home')
  })

  test('every form of data is written and every format is read', async () => {
    const { sandbox, path } = await directory(sdk)
    const forms = {
      buffer: binary.slice().buffer,
      blob: new Blob([binary]),
      stream: new Blob([binary]).stream(),
    }
    for (const [form, data] of Object.entries(forms)) {
      const file = `${path}/${form}`
      await sandbox.files.write(file, data)
      const read = await sandbox.files.read(file, { format: 'bytes' })
      expect(Buffer.compare(Buffer.from(read), Buffer.from(binary)), form).toBe(0)
      const blob = await sandbox.files.read(file, { format: 'blob' })
      expect(Buffer.compare(Buffer.from(await blob.arrayBuffer()), Buffer.from(binary)), form).toBe(0)
      const stream = await sandbox.files.read(file, { format: 'stream' })
      expect(Buffer.compare(Buffer.from(await new Response(stream).arrayBuffer()), Buffer.from(binary)), form).toBe(0)
    }
  })

  test('an empty file reads as empty in every format', async () => {
    const { sandbox, path } = await directory(sdk)
    await sandbox.files.write(`${path}/empty`, '')
    expect(await sandbox.files.read(`${path}/empty`)).toBe('')
    expect((await sandbox.commands.run(`stat -c %s ${path}/empty`)).stdout).toBe('0\n')
    if (!sdk.since('2.0.0')) return
    expect([...(await sandbox.files.read(`${path}/empty`, { format: 'bytes' }))]).toEqual([])
  })

  test('a file is overwritten, shorter than before', async () => {
    const { sandbox, path } = await directory(sdk)
    await sandbox.files.write(`${path}/a`, 'a long text')
    await sandbox.files.write(`${path}/a`, 'short')
    expect(await sandbox.files.read(`${path}/a`)).toBe('short')
  })

  if (sdk.since('1.1.0'))
    test('several files are written at once', async () => {
      const { sandbox, path } = await directory(sdk)
      const files = [
        { path: `${path}/one.txt`, data: '1' },
        { path: `${path}/sub/"two" ü.txt`, data: new Blob(['22']) },
        { path: `${path}/sub/deep/three.txt`, data: new TextEncoder().encode('333').buffer },
      ]
      const written = await sandbox.files.write(files)
      expect(written.map((info) => info.path)).toEqual(files.map((file) => file.path))
      const texts = await Promise.all(files.map((file) => sandbox.files.read(file.path)))
      expect(texts).toEqual(['1', '22', '333'])
      expect(await sandbox.files.write([])).toEqual([])
    })

  if (sdk.since('2.19.2'))
    test('raw and compressed uploads and downloads round trip', async () => {
      const { sandbox, path } = await directory(sdk)
      const same = async (file: string, options: { gzip?: boolean }) => {
        const read = await sandbox.files.read(file, { format: 'bytes', ...options })
        return Buffer.compare(Buffer.from(read), Buffer.from(binary)) === 0
      }
      await sandbox.files.write(`${path}/raw`, new Blob([binary]), { useOctetStream: true })
      expect(await same(`${path}/raw`, { gzip: true })).toBe(true)
      await sandbox.files.write(`${path}/packed`, new Blob([binary]), { gzip: true })
      expect(await same(`${path}/packed`, {})).toBe(true)
      expect((await sandbox.commands.run(`stat -c %s ${path}/packed`)).stdout).toBe(`${binary.length}\n`)
      const three = ['a', 'b', 'c'].map((name) => ({ path: `${path}/many/${name}`, data: name }))
      const written = await sandbox.files.write(three, { useOctetStream: true })
      expect(written.map((info) => info.name)).toEqual(['a', 'b', 'c'])
    })

  if (sdk.since('2.29.0'))
    test('metadata stays with the file', async () => {
      const { sandbox, path } = await directory(sdk)
      const metadata = { author: 'me', 'content-kind': 'a b=c;d' }
      expect(await sandbox.files.write(`${path}/m`, 'x', { metadata })).toMatchObject({ metadata })
      expect(await sandbox.files.getInfo(`${path}/m`)).toMatchObject({ metadata })
      const [listed] = await sandbox.files.list(path)
      expect(listed).toMatchObject({ name: 'm', metadata })
    })

  test('a directory is listed', async () => {
    const { sandbox, path } = await directory(sdk)
    await sandbox.commands.run(`mkdir -p d/e; echo > a; ln -s a l; echo > d/e/f`, { cwd: path })
    const entries = (await sandbox.files.list(path)).map(({ name, type, path: at }) => ({ name, type, path: at }))
    expect(entries.filter(({ name }) => name !== 'l').sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
      { name: 'a', type: 'file', path: `${path}/a` },
      { name: 'd', type: 'dir', path: `${path}/d` },
    ])
  })

  if (sdk.since('1.4.0'))
    test('a listing goes as deep as it is told', async () => {
      const { sandbox, path } = await directory(sdk)
      await sandbox.commands.run(`mkdir -p d/e/g; echo > d/e/f`, { cwd: path })
      const paths = async (depth: number) =>
        (await sandbox.files.list(path, { depth })).map((entry) => entry.path).sort()
      expect(await paths(1)).toEqual([`${path}/d`])
      expect(await paths(2)).toEqual([`${path}/d`, `${path}/d/e`])
      expect(await paths(9)).toEqual([`${path}/d`, `${path}/d/e`, `${path}/d/e/f`, `${path}/d/e/g`])
    })

  if (sdk.since('1.10.0'))
    test('the details of a file are reported', async () => {
      const { sandbox, path } = await directory(sdk)
      await sandbox.commands.run('printf 12345 > f; chmod 640 f; ln -s f l', { cwd: path })
      const info = await sandbox.files.getInfo(`${path}/f`)
      expect(info).toMatchObject({
        name: 'f',
        type: 'file',
        size: 5,
        owner: 'user',
        group: 'user',
        permissions: '-rw-r-----',
      })
      expect(info.mode & 0o777).toBe(0o640)
      expect(Math.abs(Date.now() - Number(info.modifiedTime))).toBeLessThan(60_000)
      expect(await sandbox.files.getInfo(`${path}/l`)).toMatchObject({ symlinkTarget: `${path}/f` })
      expect(await sandbox.files.getInfo(path)).toMatchObject({ type: 'dir', path })
    })

  test('what is missing is not found, and does not exist', async () => {
    const { NotFoundError } = await sdk.load()
    const { sandbox, path } = await directory(sdk)
    expect(await sandbox.files.exists(`${path}/no`)).toBe(false)
    expect(await sandbox.files.exists(path)).toBe(true)
    const read = await sandbox.files.read(`${path}/no`).catch((error: unknown) => error)
    expect(String(read)).toContain(`path '${path}/no' does not exist`)
    const list = await sandbox.files.list(`${path}/no`).catch((error: unknown) => error)
    for (const failure of [read, list]) {
      // Newer releases have one error of files and keep the general one beside it.
      const names = [NotFoundError.name, 'FileNotFoundError', 'NotFoundError']
      expect(names).toContain(failure instanceof Error ? failure.name : failure)
    }
  })

  test('a directory is not read as a file', async () => {
    const { InvalidArgumentError } = await sdk.load()
    const { sandbox, path } = await directory(sdk)
    await expect(sandbox.files.read(path)).rejects.toBeInstanceOf(InvalidArgumentError)
    await expect(sandbox.files.write(path, 'x')).rejects.toBeInstanceOf(InvalidArgumentError)
  })

  test('a directory is made once', async () => {
    const { sandbox, path } = await directory(sdk)
    expect(await sandbox.files.makeDir(`${path}/a/b/c`)).toBe(true)
    expect(await sandbox.files.makeDir(`${path}/a/b/c`)).toBe(false)
    expect((await sandbox.commands.run(`stat -c %U ${path}/a/b`)).stdout).toBe('user\n')
  })

  test('files and directories are renamed', async () => {
    const { sandbox, path } = await directory(sdk)
    await sandbox.files.write(`${path}/from/f`, 'content')
    expect(await sandbox.files.rename(`${path}/from`, `${path}/to`)).toMatchObject({ name: 'to', path: `${path}/to` })
    expect(await sandbox.files.rename(`${path}/to/f`, `${path}/g`)).toMatchObject({ name: 'g', type: 'file' })
    expect(await sandbox.files.read(`${path}/g`)).toBe('content')
    expect(await sandbox.files.exists(`${path}/from`)).toBe(false)
  })

  test('files and whole directories are removed', async () => {
    const { sandbox, path } = await directory(sdk)
    await sandbox.files.write(`${path}/tree/deep/f`, 'x')
    await sandbox.files.remove(`${path}/tree`)
    expect(await sandbox.files.exists(`${path}/tree`)).toBe(false)
  })

  test('ten megabytes go up and down', async () => {
    const { sandbox, path } = await directory(sdk)
    const large = new Uint8Array(10 * 1024 * 1024).map((_, index) => index % 251)
    await sandbox.files.write(`${path}/large`, large.buffer)
    const back = await sandbox.files.read(`${path}/large`, { format: 'bytes' })
    expect(Buffer.compare(Buffer.from(back), Buffer.from(large))).toBe(0)
  })

  test('files of the kernel can be read', async () => {
    const sandbox = await createSandbox(sdk)
    expect(await sandbox.files.read('/proc/1/status')).toContain('Name:')
  })

  test('the sandbox says that it is running', async () => {
    const sandbox = await createSandbox(sdk)
    expect(await sandbox.isRunning()).toBe(true)
  })
})
