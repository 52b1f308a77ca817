import { expect, test } from 'vitest'
import { collapseRoute } from '../../../src/http/routes/collapse.ts'
import { sendWhole } from '../../_util/http.ts'
import { startFront } from '../front.ts'

test('B61 a collapse is 200 with all its keys, in order, and not to be cached', async () => {
  await using front = await startFront({ routes: [collapseRoute] })
  for (const http2 of [false, true]) {
    expect(await sendWhole(`${front.url}/collapse`, { method: 'POST', http2 })).toMatchObject({
      status: 200,
      text: '{"alreadyHuge":0,"chunks":0,"collapsed":0,"elapsedMs":0,"regions":0,"skipped":0}\n',
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    })
  }
})
