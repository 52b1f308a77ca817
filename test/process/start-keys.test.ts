import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { StartKeys } from '../../src/process/start-keys.ts'

const process = (pid: number) => ({ pid, onForget: () => {} })

test('the end of an earlier start with the same key, when it is forgotten, leaves the key to the later one', async () => {
  const keys = new StartKeys()
  const [earlier, later] = [process(1), process(2)]
  keys.restore('key', 'digest', earlier)
  keys.restore('key', 'digest', later)
  earlier.onForget()
  expect(await keys.pidOf('key')).toBe(2)
  const again = await keys.once({ key: 'key', digest: 'digest', signal: NEVER }, () =>
    Promise.reject(new Error('twice')),
  )
  expect(again).toEqual({ pid: 2 })
  later.onForget()
  expect(await keys.pidOf('key')).toBeUndefined()
})
