import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { parseOpenMetrics } from './openmetrics.ts'

test('restarts of services are counted in samples and in OpenMetrics', async () => {
  await using dir = await makeTmpDir()
  const runs = `${dir.path}/runs`
  const startCommand = `echo run >> ${runs}; [ $(wc -l < ${runs}) -le 2 ] && exit 1; exec sleep 1000`
  await using daemon = await startDaemon({ args: ['-isnotfc', '-start-cmd', startCommand, '-restart', 'on-failure'] })
  const ofMetrics = async () => {
    const { text } = await sendWhole(`${daemon.url}/metrics?format=openmetrics`)
    return parseOpenMetrics(text).get('envd_service_restarts')?.samples[0]?.value
  }
  await expect.poll(ofMetrics).toBe(2)
  const { body } = await call(daemon.url, 'metrics.Metrics/Get', {})
  expect(body).toMatchObject({ sample: { serviceRestarts: '2' } })
  expect((await readFile(runs, 'utf8')).trim().split('\n')).toHaveLength(3)
})
