import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Client } from './client.ts'
import { latencyOf, latencyRows, type Measure } from './measure.ts'

const SERVER = `const server = require('node:http').createServer((_, response) => response.writeHead(204).end())
server.listen(0, '127.0.0.1', () => console.log(server.address().port))`

/** A server of Node that does nothing, to judge the others by: on this machine, in this run, with this client. */
export const bare: Measure = {
  name: 'bare',
  async run() {
    const child = spawn(process.execPath, ['-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
    const [port] = await once(child.stdout, 'data')
    const client = new Client(`http://127.0.0.1:${Number(port)}`)
    try {
      const call = () => client.send({ method: 'GET', path: '/health' })
      return latencyRows('GET of a bare node:http server', await latencyOf(call, { count: 3000, warm: 1000 }))
    } finally {
      client.close()
      child.kill()
      await once(child, 'exit')
    }
  },
}
