import { expect, test } from 'vitest'
import { atPlace, findingText, parseFinding } from './finding.ts'

test('a finding is read as it was written, for the ports of another place', () => {
  const request = { kind: 'x', http2: false, method: 'GET', body: Buffer.from([0, 255]) }
  const sentTo = (port: number) => ({ ...request, path: `/ports/${port}/`, headers: { 'e2b-sandbox-port': `${port}` } })
  const raw = Buffer.from('\0\xff41001', 'latin1')
  const finding = { seed: 1, problem: 'no answer', directory: '/tmp/x', messages: [sentTo(41001), raw, sentTo(41002)] }
  const { messages, ...head } = parseFinding(findingText(finding, { directory: '/tmp/x', ports: [41001, 41002] }))
  expect(head).toEqual({ seed: 1, problem: 'no answer', directory: '/tmp/x' })
  const elsewhere = messages.map((message) => atPlace(message, { ports: [52001, 52002] }))
  expect(elsewhere).toEqual([sentTo(52001), raw, sentTo(52002)])
})
