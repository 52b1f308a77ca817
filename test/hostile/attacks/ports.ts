import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { sendWhole } from '../../_util/http.ts'
import { call } from '../../_util/rpc.ts'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { streamCall, unread } from './unread.ts'

/** Sockets that listen; each has an owner, which is looked at for every answer. */
const SOCKETS = 1_000

async function listen(address: string, held: AsyncDisposableStack): Promise<void> {
  const server = createServer()
  server.listen({ host: address, port: 0, backlog: 1 })
  await once(server, 'listening')
  held.defer(() => void server.close())
}

/** Opens sockets one after the other, so that each is a change of its own. */
async function change({ held }: Field): Promise<void> {
  for (let count = 0; count < 3; count++) {
    await listen('127.0.0.251', held)
    await delay(1000)
  }
}

export const portAttacks: readonly Attack[] = [
  {
    name: 'lists of ports amid a thousand listeners, and watchers of all of them',
    prepare: async ({ daemon, held }) => {
      await allOf(SOCKETS, 50, (index) => listen(`127.0.0.${2 + Math.floor(index / 200)}`, held))
      await call(daemon.url, 'ports.Ports/List', {})
    },
    run: async (field) => {
      const watch = streamCall('ports.Ports/Watch', { filter: { port: 1 } })
      await allOf(scaled(400, field), 30, () => unread(field, watch))
      const filter = { port: 1 }
      const lists = allOf(scaled(240, field), scaled(240, field), () =>
        sendWhole(`${field.daemon.url}/ports.Ports/List`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ filter }),
        }),
      )
      await Promise.all([lists, change(field)])
    },
  },
]
