import { create, toBinary } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { WatchDirRequestSchema } from '../../src/gen/filesystem/filesystem_pb.js'
import { WatchRequestSchema as WatchMetricsSchema } from '../../src/gen/metrics/metrics_pb.js'
import { StartRequestSchema } from '../../src/gen/process/process_pb.js'
import { commonDaemon } from '../_util/common-daemon.ts'
import { send } from '../_util/http.ts'
import { enveloped, envelopes } from '../_util/rpc.ts'

const daemon = commonDaemon()

/** What the transport of the newest Python SDK says of every stream. */
const TRANSPORT = 'zstd,gzip,br'

/** Long and alike, so that a compressor would have an effect. */
const start = create(StartRequestSchema, { process: { cmd: 'sh', args: ['-c', 'yes | head -c 100000; sleep 1000'] } })

const STREAMS = {
  'process.Process/Start': {
    json: '{"process":{"cmd":"sh","args":["-c","yes | head -c 100000; sleep 1000"]}}',
    proto: toBinary(StartRequestSchema, start),
  },
  'filesystem.Filesystem/WatchDir': {
    json: '{"path":"/tmp"}',
    proto: toBinary(WatchDirRequestSchema, create(WatchDirRequestSchema, { path: '/tmp' })),
  },
  'metrics.Metrics/Watch': { json: '{}', proto: toBinary(WatchMetricsSchema, create(WatchMetricsSchema)) },
} as const

const TYPES = [
  ['application/connect+json', 'json', false],
  ['application/connect+json', 'json', true],
  ['application/connect+proto', 'proto', false],
  ['application/grpc', 'proto', true],
  ['application/grpc-web+proto', 'proto', false],
] as const

const cases = Object.entries(STREAMS).flatMap(([method, bodies]) =>
  TYPES.map(([type, codec, http2]) => ({
    method,
    type,
    http2,
    version: http2 ? 2 : 1,
    body: Buffer.from(bodies[codec]),
  })),
)

test.each(cases)(
  'N5 N26 $method as $type over HTTP/$version is not compressed because the transport could, nor held by proxies',
  async ({ method, type, http2, body }) => {
    const response = await send(`${daemon.url}/${method}`, {
      method: 'POST',
      http2,
      headers: {
        'content-type': type,
        'accept-encoding': TRANSPORT,
        'connect-accept-encoding': 'identity',
        'connect-content-encoding': 'identity',
        ...(type === 'application/grpc' ? { te: 'trailers' } : {}),
      },
      body: enveloped(body),
    })
    expect(response.status).toBe(200)
    expect(response.headers).not.toHaveProperty('content-encoding')
    expect(response.headers['x-accel-buffering']).toBe('no')
    const frames = envelopes(response.body)
    for (let seen = 0; seen < (method === 'process.Process/Start' ? 2 : 1); seen++)
      expect((await frames.next()).value).toMatchObject({ flags: 0 })
    response.close()
  },
)
