import { once } from 'node:events'
import { connect } from 'node:net'
import { sendWhole } from '../_util/http.ts'
import type { Canaries } from './canaries.ts'

/** A daemon, and the secrets that its log must not report. */
export interface Target {
  readonly url: string
  readonly port: number
  /** The access token, once `/init` has set it. */
  readonly token: string
  readonly canaries: Canaries
}

/** Sets the token, and puts secrets into all that `/init` takes and into requests that are none. */
export async function plantInInit({ url, port, token, canaries: { plant } }: Target): Promise<void> {
  const init = (body: unknown) =>
    sendWhole(`${url}/init`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })
  await init(`{"accessToken": ${plant('malformed init')}`)
  await init({ accessToken: [plant('token of a wrong type')] })
  await init({ accessToken: token, envVars: { A: [plant('variable of a wrong type')] } })
  await init({ accessToken: token, envVars: { [`${plant('name of a bad variable')}\0`]: 'a' } })
  await init({ accessToken: token, timestamp: plant('bad timestamp') })
  await init({ accessToken: token, defaultUser: { name: plant('user of a wrong type') } })
  await init({ accessToken: token, volumeMounts: plant('volumes of a wrong type') })
  await init({ accessToken: plant('wrong access token') })
  const answer = await init({
    accessToken: token,
    envVars: { SECRET: plant('variable'), [plant('name of a variable')]: 'value' },
    defaultUser: 'root',
    hyperloopIP: plant('bad hyperloop address'),
    caBundle: `-----BEGIN CERTIFICATE-----\n${plant('certificate')}\n-----END CERTIFICATE-----\n`,
    timestamp: new Date().toISOString(),
    [plant('unknown field')]: plant('value of an unknown field'),
  })
  if (answer.status !== 204) throw new Error(`init failed: ${answer.status} ${answer.text}`)
  await init({ accessToken: plant('wrong access token, later') })
  for (const garbage of [
    `${plant('garbage')}\r\n\r\n`,
    `GET /health HTTP/1.1\r\nhost: x\r\n${plant('header without a colon')}\r\n\r\n`,
    `POST /init HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${plant('bad chunk')}\r\n`,
    `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${plant('bad HTTP/2 frame')}`,
  ]) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    socket.end(garbage)
    await once(socket.resume(), 'close')
  }
}
