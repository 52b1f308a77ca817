import { expect, test } from 'vitest'
import { errorFields } from '../../src/lib/error-fields.ts'

function thrownBy(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

test('G33 an error is described by its class, its code and its calls', () => {
  const error = thrownBy(() => new URL('canary'))
  const fields = errorFields(error)
  expect(fields).toMatchObject({ error: 'TypeError', error_code: 'ERR_INVALID_URL' })
  expect(fields.stack).toMatch(/^at .*\n?/)
})

test.each([
  () => JSON.parse('canary'),
  () => Object.assign(JSON.parse('"canary"'), {}).canary(),
  () => Buffer.alloc('canary' as never),
  () => BigInt('canary'),
  () => {
    throw new Error('    at canary (canary:1:1)\n    at canary')
  },
  () => {
    throw 'canary'
  },
  () => {
    throw Object.assign(new Error('before'), { message: 'after', stack: 'Error: canary\n    at canary' })
  },
])('G33 nothing of the message of an error is shown, number %#', (work) => {
  expect(JSON.stringify(errorFields(thrownBy(work)))).not.toContain('canary')
})
