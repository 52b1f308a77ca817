import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { bind, portOf } from '../../../src/http/server/bind.ts'
import { needsRoot } from '../../_util/namespace.ts'

const ignore = () => {}

test('A4 without IPv6 everything is listened on over IPv4, and localhost is 127.0.0.1', (context) => {
  needsRoot(context)
  const script = `
    import { connect } from 'node:net'
    import { bind, portOf } from ${JSON.stringify(new URL('../../../src/http/server/bind.ts', import.meta.url).href)}
    for (const address of ['::', 'localhost']) {
      const servers = await bind({ address, port: 0 }, (socket) => socket.end(address))
      const text = await connect(portOf(servers[0]), '127.0.0.1').setEncoding('utf8').toArray()
      console.log(servers.length, ...text)
      for (const server of servers) server.close()
    }`
  const withoutIpv6 = 'ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && exec "$@"'
  const node = [process.execPath, '--input-type=module-typescript', '-e', script]
  try {
    execFileSync('unshare', ['-n', 'sh', '-c', withoutIpv6, 'sh', 'true'], { stdio: 'ignore' })
  } catch {
    context.skip('needs unshare, ip and IPv6 to switch off')
  }
  const output = execFileSync('unshare', ['-n', 'sh', '-c', withoutIpv6, 'sh', ...node], { encoding: 'utf8' })
  expect(output).toBe('1 ::\n1 localhost\n')
})

test('A4 one address is listened on alone', async () => {
  const [server] = await bind({ address: '127.0.0.3', port: 0 }, ignore)
  expect(server?.address()).toMatchObject({ address: '127.0.0.3' })
  server?.close()
})

test('A4 an address that this machine does not have is refused', async () => {
  await expect(bind({ address: '192.0.2.1', port: 0 }, ignore)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
})

test('only a server that listens has a port', () => {
  expect(() => portOf(createServer())).toThrow('does not listen')
})
