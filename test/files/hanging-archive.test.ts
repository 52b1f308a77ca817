import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { mountHanging } from '../_util/dead-mount.ts'

/** Half of what a directory that is never listed may hold up a call. */
const SOON_MS = 15_000

test.for(['zip', 'tar', 'tar.gz', 'tar.zst'])(
  'the head of a %s comes before anything of the tree was read',
  {
    timeout: 120_000,
  },
  async (format, context) => {
    await using daemon = await startDaemon()
    await using mount = await mountHanging(context, ['first', 'never-list/'])
    const begun = performance.now()
    const request = get(`${daemon.url}/files?path=${mount.path}&format=${format}&strip=999`)
    const [response]: IncomingMessage[] = await once(request, 'response')
    expect(response?.statusCode).toBe(200)
    expect(performance.now() - begun).toBeLessThan(SOON_MS)
    request.on('error', () => {}).destroy()
    // What waits for it cannot be killed before.
    mount.end()
    expect(await daemon.stop()).toBe(0)
  },
)
