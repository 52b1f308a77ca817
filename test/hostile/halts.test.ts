import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { heavyFiles } from './heavy-files.ts'
import { heavyRequests } from './heavy-requests.ts'
import { startLimited } from './limited-daemon.ts'
import { LONGEST_HALT_MS } from './scale.ts'

test('no request halts the event loop for long', async (context) => {
  await using directory = await makeTmpDir()
  await using daemon = await startLimited(context)
  const halts: [string, number][] = []
  const posts = heavyRequests(directory.path).map((request) => ({ ...request, method: 'POST' }))
  for (const { name, method, path, headers, body } of [...posts, ...(await heavyFiles(directory.path))]) {
    daemon.halts()
    const http2 = headers['content-type']?.startsWith('application/grpc+') === true
    const request = { method, headers, body, http2, signal: AbortSignal.timeout(20_000) }
    const answer = await sendWhole(`${daemon.url}${path}`, request).catch((error: Error) => error)
    const { longest } = daemon.halts()
    halts.push([name, longest])
    console.log(
      `${Math.round(longest)} ms, ${'status' in answer ? `${answer.status} ${answer.text.slice(0, 100)}` : answer.message}: ${name}`,
    )
  }
  expect(halts.filter(([, longest]) => longest > LONGEST_HALT_MS)).toEqual([])
  expect(daemon.held().peak).toBeLessThan(200 * 2 ** 20)
})
