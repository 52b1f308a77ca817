import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { asUser, enveloped, open, pidOf, start } from '../../_util/rpc.ts'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { streamCall, unread } from './unread.ts'

/**
 * A command that writes all the time, and a client that reads it, so that it never waits. As another user than the
 * attackers.
 */
async function noise({ daemon, held }: Field): Promise<number> {
  const stream = await start(daemon.url, '/bin/sh', {
    args: ['-c', 'while :; do head -c 65536 /dev/zero; sleep 0.001; done'],
    headers: asUser('root'),
  })
  held.defer(() => stream.close())
  const pid = await pidOf(stream)
  void stream.rest().catch(() => {})
  return pid
}

/** Streams over HTTP/2 without a window, 900 over each connection. */
async function windowless(
  field: Field,
  sessions: number,
  headers: Record<string, string>,
  body: Buffer,
): Promise<void> {
  for (let left = sessions; left > 0; left--) {
    const session = connectHttp2(field.daemon.url, { settings: { initialWindowSize: 0 } })
    session.on('error', () => {})
    field.held.defer(() => session.destroy())
    await once(session, 'remoteSettings')
    for (let stream = 0; stream < 900; stream++) {
      const request = session.request({ ':method': 'POST', ...headers })
      request.on('error', () => {})
      request.end(body)
      if (stream % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

/** ConnectRequest: process (1), pid (1), below 2^21. */
function connectMessage(pid: number): Buffer {
  return Buffer.from([0x0a, 4, 0x08, (pid & 0x7f) | 0x80, ((pid >> 7) & 0x7f) | 0x80, (pid >> 14) & 0x7f])
}

export const streams: readonly Attack[] = [
  {
    name: 'readers of one noisy command that read nothing',
    run: async (field) => {
      const pid = await noise(field)
      const request = streamCall('process.Process/Connect', { process: { pid } })
      await allOf(scaled(3000, field), 20, () => unread(field, request))
    },
  },
  {
    name: 'readers over HTTP/2 with a window of 0',
    run: async (field) => {
      const pid = await noise(field)
      const headers = { ':path': '/process.Process/Connect', 'content-type': 'application/connect+json' }
      const body = enveloped(Buffer.from(JSON.stringify({ process: { pid } })))
      await windowless(field, scaled(8, field), headers, body)
    },
  },
  {
    name: 'readers over gRPC with a window of 0',
    run: async (field) => {
      const pid = await noise(field)
      const headers = { ':path': '/process.Process/Connect', 'content-type': 'application/grpc', te: 'trailers' }
      await windowless(field, scaled(8, field), headers, enveloped(connectMessage(pid)))
    },
  },
  {
    name: 'commands whose output is not read',
    run: async (field) => {
      const request = streamCall('process.Process/Start', {
        process: { cmd: '/bin/sh', args: ['-c', 'exec timeout 6 head -c 9000000 /dev/zero'] },
        stdin: false,
      })
      await allOf(scaled(300, field), 10, () => unread(field, request))
    },
  },
  {
    name: 'streams that have nothing to say',
    run: async (field) => {
      const stream = await open(field.daemon.url, 'process.Process/Start', {
        process: { cmd: '/bin/sleep', args: ['1000'] },
      })
      field.held.defer(() => stream.close())
      const pid = await pidOf(stream)
      const headers = { ':path': '/process.Process/Connect', 'content-type': 'application/connect+json' }
      const body = enveloped(Buffer.from(JSON.stringify({ process: { pid } })))
      await windowless(field, scaled(12, field), headers, body)
    },
  },
]
