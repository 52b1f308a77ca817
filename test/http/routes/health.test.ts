import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { startFront } from '../front.ts'

test('B1 health is 204, not to be cached, and without a content type', async () => {
  await using front = await startFront()
  for (const http2 of [false, true]) {
    const answer = await sendWhole(`${front.url}/health`, { http2 })
    expect(answer).toMatchObject({ status: 204, text: '', headers: { 'cache-control': 'no-store' } })
    expect(answer.headers).not.toHaveProperty('content-type')
    expect(answer.headers).not.toHaveProperty('content-length')
  }
})
