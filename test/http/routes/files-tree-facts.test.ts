import { execFileSync } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsNamespace } from '../../_util/namespace.ts'
import { startFilesFront } from '../files-front.ts'
import { isThere, listing, TARS, unpack } from '../unpacked.ts'

test('owners come by their names, too, and files with holes without them', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  await mkdir(tree)
  const { uid, gid } = files.people.ann
  await writeFile(join(tree, 'small'), 'x')
  await chown(join(tree, 'small'), uid, gid)
  // Data, a hole, data, and a hole at the end; nothing but a hole; and a name that is not UTF-8.
  for (const name of ['holes', 'o'.repeat(120), 'odd']) execFileSync('sh', ['-c', HOLES, 'sh', join(tree, name)])
  renameSync(join(tree, 'odd'), Buffer.from(`${tree}/odd-\xff`, 'latin1'))
  execFileSync('truncate', ['-s', '3000000', join(tree, 'hole')])
  const { body } = await files.get({ path: tree, format: 'tar' })
  expect(body.length).toBeLessThan(1_000_000)
  const listed = execFileSync('tar', ['-tvf', '-'], { input: body, encoding: 'utf8' })
  expect(listed).toMatch(/23456\/23456|ann\/ann/)
  expect(ownersOf(body)).toEqual(
    expect.arrayContaining([
      ['ann', 'ann'],
      ['root', 'root'],
    ]),
  )
  for (const [command, args] of TARS) {
    if (!isThere(command)) continue
    const out = join(files.dir, command)
    unpack(command, args, body, out)
    expect([command, listing(out)]).toEqual([command, listing(tree)])
    const used = execFileSync('du', ['-s', '--block-size=1024', out], { encoding: 'utf8' })
    expect(Number.parseInt(used, 10)).toBeLessThan(2_000)
  }
  const back = join(files.dir, 'back')
  expect((await files.post({ path: back, username: 'root', owner: 'archive' }, body, TAR)).status).toBe(200)
  expect(listing(back)).toBe(listing(tree))
  const zip = await files.get({ path: tree, format: 'zip' })
  await writeFile(join(files.dir, 'tree.zip'), zip.body)
  const script = 'import sys,zipfile; print(sum(i.file_size for i in zipfile.ZipFile(sys.argv[1]).infolist()))'
  const size = execFileSync('python3', ['-c', script, join(files.dir, 'tree.zip')], { encoding: 'utf8' })
  expect(Number(size)).toBeGreaterThan(3 * 4_000_000)
})

const TAR = { 'content-type': 'application/x-tar' }
/** Makes a file of 5,000,000 bytes with two small pieces of content. */
const HOLES = `printf begin >"$1"; printf middle | dd of="$1" bs=1 seek=2000001 conv=notrunc 2>/dev/null; truncate -s 5000000 "$1"`

/** Names of user and group in each header of a tar archive, as they stand there. */
function ownersOf(tar: Buffer): string[][] {
  const found: string[][] = []
  for (let at = tar.indexOf('ustar'); at >= 0; at = tar.indexOf('ustar', at + 1))
    found.push([265, 297].map((field) => (tar.toString('latin1', at - 257 + field).split('\0')[0] ?? '').slice(0, 32)))
  return found
}

test('a file that shrinks, grows or vanishes meanwhile leaves the archive as it was announced, and is named', async () => {
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  await mkdir(tree)
  const size = 64 * 1024 * 1024
  for (const name of ['a-first', 'b-shrinks', 'c-grows', 'd-vanishes', 'e-last'])
    await writeFile(join(tree, name), Buffer.alloc(name === 'a-first' || name === 'b-shrinks' ? size : 100_000, name))
  const chunks: Buffer[] = []
  const trailers = await new Promise((resolve, reject) => {
    get(`${files.front.url}/files?path=${tree}&format=tar`, (response) => {
      response.on('end', () => resolve(response.trailers)).on('error', reject)
      // Nothing is read until it has happened; the daemon is at the first file.
      response.once('readable', () => {
        writeFileSync(join(tree, 'b-shrinks'), 'short')
        execFileSync('truncate', ['-s', '1000', join(tree, 'a-first')])
        writeFileSync(join(tree, 'c-grows'), Buffer.alloc(200_000, 'grown'))
        execFileSync('rm', [join(tree, 'd-vanishes')])
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
      })
    }).on('error', reject)
  })
  const out = join(files.dir, 'out')
  unpack('tar', ['-xf', '-'], Buffer.concat(chunks), out)
  const names = execFileSync('ls', [out], { encoding: 'utf8' }).trim().split('\n')
  expect(names).not.toContain('d-vanishes')
  expect(names).toEqual(expect.arrayContaining(['a-first', 'c-grows', 'e-last']))
  expect(execFileSync('stat', ['-c', '%s', join(out, 'a-first'), join(out, 'c-grows')]).toString()).toBe(
    `${size}\n200000\n`,
  )
  const { 'x-left-out': leftOut } = trailers as Record<string, string>
  expect(leftOut).toMatch(/^2; a-first,.*d-vanishes/)
  await expect
    .poll(() => files.logged.map(({ message, names: logged }) => [message, logged]))
    .toContainEqual(['entries were left out of an archive', leftOut?.slice(3)])
})
