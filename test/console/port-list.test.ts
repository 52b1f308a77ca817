import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { type Listeners, portsOf, withEvent } from '../../src/console/service/port-list.ts'
import { type Listener, ListenerSchema, type WatchResponse, WatchResponseSchema } from '../../src/gen/ports/ports_pb.js'

const listener = (inode: bigint, port: number, state = '') => create(ListenerSchema, { inode, port, state })
const message = (event: WatchResponse['event']) => create(WatchResponseSchema, { event })
const snapshot = (...listeners: Listener[]) =>
  message({ case: 'snapshot', value: { $typeName: 'ports.WatchResponse.Snapshot', listeners, more: true } })

test('a snapshot in pieces, and what opens, changes and closes after it, make the list of ports', () => {
  const messages = [
    snapshot(listener(1n, 8080)),
    snapshot(listener(2n, 80), listener(3n, 8080)),
    message({ case: 'opened', value: listener(4n, 9000) }),
    message({ case: 'changed', value: listener(3n, 8080, 'reachable') }),
    message({ case: 'closed', value: listener(2n, 80) }),
  ]
  let listeners: Listeners = new Map()
  for (const one of messages) listeners = withEvent(listeners, one)
  expect(
    portsOf(listeners).map((port) => [port.port, port.listeners.map(({ inode, state }) => [inode, state])]),
  ).toEqual([
    [
      8080,
      [
        [1n, ''],
        [3n, 'reachable'],
      ],
    ],
    [9000, [[4n, '']]],
  ])
})
