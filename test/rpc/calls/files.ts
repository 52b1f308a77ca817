import { mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { expect } from 'vitest'
import { collected } from '../../_util/collected.ts'

import { bytes, type Calls } from './visit.ts'

export const FILES_CALLS: Calls = {
  'files.v1.Files/ReadLines': async ({ files, dir, tag }) => {
    await writeFile(`${dir}/${tag}`, 'one\ntwo\n')
    expect(await files.readLines({ path: `${dir}/${tag}`, from: 2n })).toMatchObject({
      lines: [{ number: 2n, text: 'two' }],
      total: 2n,
    })
  },
  'files.v1.Files/Edit': async ({ files, dir, tag }) => {
    const change = { case: 'text' as const, value: 'new\n' }
    const { files: edited } = await files.edit({ files: [{ path: `${dir}/${tag}`, etag: '', change }] })
    expect(edited).toMatchObject([{ created: true, diff: expect.stringContaining('+new') }])
  },
  'files.v1.Files/Undo': async ({ files, dir, tag }) => {
    const change = { case: 'content' as const, value: bytes('new\n') }
    const { edit = 0n } = await files.edit({ files: [{ path: `${dir}/${tag}`, change }] })
    expect(await files.undo({ edit })).toMatchObject({ edit, files: [{ removed: true }] })
  },
  'files.v1.Files/Find': async ({ files, dir, tag }) => {
    await mkdir(`${dir}/${tag}`)
    await writeFile(`${dir}/${tag}/found`, 'text')
    const events = await collected(files.find({ path: `${dir}/${tag}` }))
    expect(events.map(({ event }) => event)).toMatchObject([
      { case: 'file', value: { path: `${dir}/${tag}/found`, size: 4n } },
      { case: 'summary', value: { files: 1n, truncated: false } },
    ])
  },
  'files.v1.Files/Grep': async ({ files, dir, tag }) => {
    await mkdir(`${dir}/${tag}`)
    await writeFile(`${dir}/${tag}/found`, 'one\ntwo\n')
    const events = await collected(files.grep({ path: `${dir}/${tag}`, pattern: 'w' }))
    expect(events.map(({ event }) => event)).toMatchObject([
      { case: 'line', value: { number: 2n, text: 'two', matches: [{ start: 1, end: 2 }] } },
      { case: 'file', value: { matchingLines: 1n } },
      { case: 'summary', value: { matchingLines: 1n, files: 1n } },
    ])
  },
  'files.v1.Files/Checksum': async ({ files, dir, tag }) => {
    await writeFile(`${dir}/${tag}`, 'text')
    const events = await collected(files.checksum({ path: `${dir}/${tag}` }))
    expect(events.map(({ event }) => event)).toMatchObject([
      { case: 'file', value: { path: tag, size: 4n } },
      { case: 'summary', value: { files: 1n, bytes: 4n } },
    ])
  },
  'files.v1.Files/Copy': async ({ files, dir, tag }) => {
    await writeFile(`${dir}/${tag}`, 'text')
    const events = await collected(files.copy({ source: `${dir}/${tag}`, destination: `${dir}/${tag}-copy` }))
    expect(events.at(-1)?.event).toMatchObject({ case: 'summary', value: { files: 1n, bytes: 4n, leftOut: 0n } })
    expect(await readFile(`${dir}/${tag}-copy`, 'utf8')).toBe('text')
  },
  'files.v1.Files/SetAttributes': async ({ files, dir, tag }) => {
    await files.edit({ files: [{ path: `${dir}/${tag}`, change: { case: 'text', value: 'text' } }] })
    const events = await collected(files.setAttributes({ path: `${dir}/${tag}`, mode: 0o640 }))
    expect(events.at(-1)?.event).toMatchObject({ case: 'summary', value: { entries: 1n, leftOut: 0n } })
    expect((await stat(`${dir}/${tag}`)).mode & 0o7777).toBe(0o640)
  },
  'files.v1.Files/DiskUsage': async ({ files, dir, tag }) => {
    await writeFile(`${dir}/${tag}`, 'text')
    const events = await collected(files.diskUsage({ path: `${dir}/${tag}` }))
    expect(events.map(({ event }) => event)).toMatchObject([
      { case: 'usage', value: { path: '', length: 4n, entries: 1n } },
      { case: 'summary', value: { length: 4n, entries: 1n, leftOut: 0n } },
    ])
  },
  'files.v1.Files/Symlink': async ({ files, dir, tag }) => {
    await files.symlink({ target: 'somewhere', path: `${dir}/${tag}` })
    expect(await readlink(`${dir}/${tag}`)).toBe('somewhere')
  },
  'files.v1.Files/ReadLink': async ({ files, dir, tag }) => {
    await symlink('somewhere', `${dir}/${tag}`)
    expect((await files.readLink({ path: `${dir}/${tag}` })).target).toBe('somewhere')
  },
  'files.v1.Files/Changes': async ({ files, dir, tag }) => {
    await mkdir(`${dir}/${tag}`)
    const path = `${dir}/${tag}`
    const { token } = await files.changes({ path })
    await writeFile(`${path}/new`, '')
    expect(await files.changes({ path, token, waitMs: 10_000, includeEntry: true })).toMatchObject({
      changes: [{ path: 'new', types: expect.arrayContaining([1]), entry: { name: 'new' } }],
      unknown: false,
    })
  },
  'files.v1.Files/Truncate': async ({ files, dir, tag }) => {
    await writeFile(`${dir}/${tag}`, 'text')
    expect((await files.truncate({ path: `${dir}/${tag}`, size: 2n })).etag).toMatch(/^"/)
    expect(await readFile(`${dir}/${tag}`, 'utf8')).toBe('te')
  },
}
