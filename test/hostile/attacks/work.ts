import { mkdir } from 'node:fs/promises'
import { sendWhole } from '../../_util/http.ts'
import { call, start } from '../../_util/rpc.ts'
import { type Attack, allOf, scaled } from './attack.ts'

export const work: readonly Attack[] = [
  {
    name: 'a form with 10,000 files',
    run: async (field) => {
      const parts = Array.from(
        { length: scaled(10_000, field) },
        (_, index) =>
          `--b\r\nContent-Disposition: form-data; name="file"; filename="${field.directory}/f${index}"\r\n\r\n0123456789\r\n`,
      )
      await sendWhole(`${field.daemon.url}/files`, {
        method: 'POST',
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
        body: `${parts.join('')}--b--\r\n`,
      })
    },
  },
  {
    name: '300 kills amid 700 other processes',
    run: async (field) => {
      const { url } = field.daemon
      const sleepers = Array.from({ length: scaled(700, field) }, () => 'sleep 600 &').join(' ')
      const crowd = await start(url, '/bin/sh', { args: ['-c', `${sleepers} wait`] })
      field.held.defer(() => crowd.close())
      const pids: number[] = []
      await allOf(scaled(300, field), 8, async () => {
        const stream = await start(url, '/bin/sleep', { args: ['600'], stdin: false })
        pids.push((await stream.next()).event.start?.pid ?? 0)
        stream.close()
      })
      await allOf(pids.length, 32, (index) =>
        call(url, 'process.Process/SendSignal', { process: { pid: pids[index] }, signal: 'SIGNAL_SIGKILL' }),
      )
    },
  },
  {
    name: 'recursive watchers that are not polled',
    prepare: async (field) => {
      await allOf(scaled(20_000, field), 32, (index) => mkdir(`${field.directory}/w${index}`))
    },
    run: (field) =>
      allOf(scaled(400, field), 4, () =>
        call(field.daemon.url, 'filesystem.Filesystem/CreateWatcher', { path: field.directory, recursive: true }),
      ),
  },
]
