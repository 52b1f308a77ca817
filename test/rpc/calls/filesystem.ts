import { writeFile } from 'node:fs/promises'
import { expect } from 'vitest'
import { EventType } from '../../../src/gen/filesystem/filesystem_pb.js'

import type { Calls } from './visit.ts'

export const FILESYSTEM_CALLS: Calls = {
  'filesystem.Filesystem/Stat': async ({ filesystem, dir }) => {
    await writeFile(`${dir}/file`, '12345', { mode: 0o640 })
    const { entry } = await filesystem.stat({ path: `${dir}/file` })
    expect(entry).toMatchObject({ name: 'file', type: 1, size: 5n, mode: 0o640, permissions: '-rw-r-----' })
  },
  'filesystem.Filesystem/MakeDir': async ({ filesystem, dir }) => {
    expect((await filesystem.makeDir({ path: `${dir}/a/b` })).entry?.path).toBe(`${dir}/a/b`)
  },
  'filesystem.Filesystem/Move': async ({ filesystem, dir }) => {
    await writeFile(`${dir}/old`, '')
    const { entry } = await filesystem.move({ source: `${dir}/old`, destination: `${dir}/new` })
    expect(entry?.path).toBe(`${dir}/new`)
  },
  'filesystem.Filesystem/ListDir': async ({ filesystem, dir }) => {
    const names = Array.from({ length: 40 }, (_, i) => `${dir}/file${String(i).padStart(2, '0')}`)
    for (const name of names) await writeFile(name, '')
    const { entries } = await filesystem.listDir({ path: dir, depth: 1 })
    expect(entries.map(({ path }) => path)).toEqual(names)
  },
  'filesystem.Filesystem/Remove': async ({ filesystem, dir }) => {
    await writeFile(`${dir}/file`, '')
    await filesystem.remove({ path: `${dir}/file` })
    await expect(filesystem.stat({ path: `${dir}/file` })).rejects.toMatchObject({ code: 5 })
  },
  'filesystem.Filesystem/WatchDir': async ({ filesystem, dir }) => {
    const leave = new AbortController()
    const events = filesystem.watchDir({ path: dir }, { signal: leave.signal })[Symbol.asyncIterator]()
    expect((await events.next()).value?.event.case).toBe('start')
    await writeFile(`${dir}/file`, '')
    expect((await events.next()).value?.event.value).toMatchObject({ name: 'file', type: EventType.CREATE })
    leave.abort()
    await events.next().catch(() => {})
  },
  'filesystem.Filesystem/CreateWatcher': async ({ filesystem, dir }) => {
    expect((await filesystem.createWatcher({ path: dir })).watcherId).toMatch(/^w[a-z0-9]{20}$/)
  },
  'filesystem.Filesystem/GetWatcherEvents': async ({ filesystem, dir }) => {
    const { watcherId } = await filesystem.createWatcher({ path: dir })
    await filesystem.makeDir({ path: `${dir}/made` })
    const { events } = await filesystem.getWatcherEvents({ watcherId })
    expect(events[0]).toMatchObject({ name: 'made', type: EventType.CREATE })
  },
  'filesystem.Filesystem/RemoveWatcher': async ({ filesystem, dir }) => {
    const { watcherId } = await filesystem.createWatcher({ path: dir })
    await filesystem.removeWatcher({ watcherId })
    await expect(filesystem.getWatcherEvents({ watcherId })).rejects.toMatchObject({ code: 5 })
  },
  'watch.v1.Watch/Directories': async ({ watch, dir }) => {
    const leave = new AbortController()
    const events = watch.directories({ paths: [dir] }, { signal: leave.signal })[Symbol.asyncIterator]()
    expect((await events.next()).value?.event.case).toBe('started')
    await writeFile(`${dir}/file`, '')
    const event = { name: 'file', type: EventType.CREATE }
    expect((await events.next()).value?.event.value).toMatchObject({ directory: 0, event })
    leave.abort()
    await events.next().catch(() => {})
  },
}
