import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { commonDaemon } from '../../_util/common-daemon.ts'
import { send, sendWhole } from '../../_util/http.ts'

const daemon = commonDaemon()

/** A server that answers each connection with the bytes that `answer` writes, and keeps what it was sent. */
async function startUpstream(answer: (socket: Socket, received: () => string) => void | Promise<void>) {
  const sockets = new Set<Socket>()
  let received = ''
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.setEncoding('latin1').on('data', (text) => {
      received += text
    })
    socket.once('data', () => void answer(socket, () => received))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const dispose = async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  }
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo
  return { port, sockets, received: () => received, [Symbol.asyncDispose]: dispose }
}

/** Sends bytes to the daemon; resolves with what comes until the end of the connection. */
async function exchange(bytes: string): Promise<string> {
  const client = connect(daemon.port, '127.0.0.1').setEncoding('latin1')
  client.write(bytes, 'latin1')
  return (await client.toArray()).join('')
}

const says = (text: string) => (socket: Socket) => void socket.end(text)
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const SWITCHED = 'HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'
const close = 'Host: x\r\nConnection: close'

test('path and query arrive byte for byte', async () => {
  for (const path of ['/a%00%ff%2F..%2e/b', '//x//', '/./a/../b/', '/?a=%20&b=c+d&&=&%', '/;p=1', '/*']) {
    await using app = await startUpstream(says(OK))
    expect(await exchange(`GET /ports/${app.port}${path} HTTP/1.1\r\n${close}\r\n\r\n`), path).toMatch(/\r\nok$/)
    expect(app.received().split('\r\n')[0]).toBe(`GET ${path} HTTP/1.1`)
  }
})

test('a port that is none, or written another way, is no port', async () => {
  for (const port of ['0', '00080', '65536', '99999', '1000000', '-1', '0x50', '80.0', '%38%30', ' 80', '٨'])
    expect((await exchange(`GET /ports/${encodeURI(port)}/ HTTP/1.1\r\n${close}\r\n\r\n`)).slice(0, 12), port).toBe(
      'HTTP/1.1 404',
    )
})

test('the port of the daemon is refused by path, and no request goes round', async () => {
  const { status, text } = await sendWhole(`${daemon.url}/ports/${daemon.port}/ports/${daemon.port}/health`)
  expect({ status, text }).toMatchObject({ status: 403, text: expect.stringContaining('port of the daemon') })
})

test('a client that expects 100 gets it, and the port sees no expectation', async () => {
  await using app = await startUpstream(async (socket, received) => {
    await expect.poll(received).toMatch(/body$/)
    socket.end(OK)
  })
  const client = connect(daemon.port, '127.0.0.1').setEncoding('latin1')
  client.write(`POST /ports/${app.port}/ HTTP/1.1\r\n${close}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`)
  const [first] = await once(client, 'data')
  expect(String(first)).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\n/)
  client.write('body')
  expect((await client.toArray()).join('')).toMatch(/^HTTP\/1.1 200 OK[\s\S]*ok$/)
  expect(app.received().toLowerCase()).not.toContain('expect')
})

test('words of a status that cannot be sent on are left out, and a status that cannot be is 502', async () => {
  const headers = 'Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok'
  for (const http2 of [false, true]) {
    await using odd = await startUpstream(says(`HTTP/1.1 200 O\x01K\x7f\r\nContent-Length: 2\r\n\r\nok`))
    expect(await sendWhole(`${daemon.url}/ports/${odd.port}/`, { http2 })).toMatchObject({ status: 200, text: 'ok' })
    for (const status of ['000', '099']) {
      await using bad = await startUpstream(says(`HTTP/1.1 ${status} Bad\r\n${headers}`))
      const answer = await sendWhole(`${daemon.url}/ports/${bad.port}/`, { http2 })
      expect(answer).toMatchObject({ status: 502, text: expect.stringContaining('did not answer as HTTP does') })
      expect(answer.headers['content-encoding']).toBeUndefined()
    }
  }
  await using switched = await startUpstream(says(`${SWITCHED.replace('Yes', 'Y\x01es')}x`))
  const upgrade =
    'Host: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13'
  expect(await exchange(`GET /ports/${switched.port}/ HTTP/1.1\r\n${upgrade}\r\n\r\n`)).toMatch(
    /^HTTP\/1.1 101 Yes\r\n/,
  )
})

test('chunks go both ways without their trailers', async () => {
  const answer =
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 1\r\n\r\n'
  await using app = await startUpstream(async (socket, received) => {
    await expect.poll(received).toMatch(/0\r\n\r\n$/)
    socket.end(answer)
  })
  const body = '3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sent: 1\r\n\r\n'
  const head = `POST /ports/${app.port}/ HTTP/1.1\r\n${close}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sent`
  const got = await exchange(`${head}\r\n\r\n${body}`)
  expect(got.replace(/\r\n[0-9a-f]\r\n/g, '')).toMatch(/onetwo/)
  expect(got.toLowerCase()).not.toContain('x-sum')
  const sent = app.received()
  expect(sent.slice(sent.indexOf('\r\n\r\n')).replace(/\r\n[0-9a-f]\r\n/g, '')).toMatch(/^\r\nabcde|abcde/)
  expect(sent.toLowerCase()).not.toContain('x-sent')
})

test('the answer to HEAD has the length and no body; 204 and 304 have neither', async () => {
  await using head = await startUpstream(says('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-A: b\r\n\r\n'))
  expect(await exchange(`HEAD /ports/${head.port}/ HTTP/1.1\r\n${close}\r\n\r\n`)).toMatch(
    /^HTTP\/1.1 200 OK\r\n[\s\S]*content-length: 1000\r\n[\s\S]*\r\n\r\n$/i,
  )
  await using odd = await startUpstream(says('HTTP/1.1 204 No Content\r\nContent-Length: 2\r\nX-A: b\r\n\r\n'))
  const bare = await exchange(`GET /ports/${odd.port}/ HTTP/1.1\r\n${close}\r\n\r\n`)
  expect(bare).toMatch(/^HTTP\/1.1 204 No Content\r\n[\s\S]*x-a: b\r\n[\s\S]*\r\n\r\n$/i)
  expect(bare).not.toMatch(/content-length/i)
  for (const status of ['204 No Content', '304 Not Modified']) {
    await using app = await startUpstream(says(`HTTP/1.1 ${status}\r\nETag: "x"\r\n\r\n`))
    const got = await exchange(`GET /ports/${app.port}/ HTTP/1.1\r\n${close}\r\n\r\n`)
    expect(got).toMatch(new RegExp(`^HTTP/1.1 ${status}\\r\\n[\\s\\S]*etag: "x"[\\s\\S]*\\r\\n\\r\\n$`, 'i'))
    expect(got).not.toMatch(/transfer-encoding/i)
  }
})

test('provisional answers of the port are passed over', async () => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n'
  await using app = await startUpstream(says(hints + OK))
  expect(await sendWhole(`${daemon.url}/ports/${app.port}/`)).toMatchObject({ status: 200, text: 'ok' })
})

test('a port that leaves in the middle cuts the answer off, over both versions of HTTP', async () => {
  for (const head of ['Content-Length: 100', 'Transfer-Encoding: chunked']) {
    const piece = head.startsWith('C') ? 'begin' : '5\r\nbegin\r\n'
    await using app = await startUpstream((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${piece}`)
      setTimeout(() => socket.resetAndDestroy(), 20)
    })
    for (const http2 of [false, true])
      await expect(sendWhole(`${daemon.url}/ports/${app.port}/`, { http2 }), `${head} ${http2}`).rejects.toThrow()
  }
})

test('a client that leaves before the answer, or in the middle of its body, ends the connection to the port', async () => {
  await using app = await startUpstream(() => {})
  const bodies = [
    `GET /ports/${app.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`,
    `POST /ports/${app.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbegin`,
  ]
  for (const bytes of bodies) {
    const client = connect(daemon.port, '127.0.0.1').on('error', () => {})
    client.write(bytes)
    await expect.poll(() => app.sockets.size).toBe(1)
    client.resetAndDestroy()
    await expect.poll(() => app.sockets.size).toBe(0)
  }
})

test('headers of a port that do not end are refused, and one that dribbles holds no more than its connection', async () => {
  await using endless = await startUpstream((socket) => {
    socket.write('HTTP/1.1 200 OK\r\n')
    const more = () => {
      if (!socket.destroyed && socket.write(`X-${'a'.repeat(1000)}: b\r\n`)) setImmediate(more)
    }
    socket.on('drain', more)
    more()
  })
  expect((await sendWhole(`${daemon.url}/ports/${endless.port}/`)).status).toBe(502)
  await expect.poll(() => endless.sockets.size).toBe(0)
  await using slow = await startUpstream(async (socket) => {
    for (const byte of OK) {
      socket.write(byte)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })
  expect(await sendWhole(`${daemon.url}/ports/${slow.port}/`)).toMatchObject({ status: 200, text: 'ok' })
})

test('the name of the host is that of the client, for apps that check it', async () => {
  await using app = await startUpstream(says(OK))
  await exchange(`GET /ports/${app.port}/ HTTP/1.1\r\nHost: localhost:1234\r\nConnection: close\r\n\r\n`)
  expect(app.received()).toMatch(/\r\nHost: localhost:1234\r\n/i)
  expect(app.received().match(/\r\nhost:/gi)).toHaveLength(1)
})

test('an answer has begun before the body of the request has come', async () => {
  await using app = await startUpstream((socket) => void socket.write(OK))
  const url = `${daemon.url}/ports/${app.port}/`
  const client = connect(daemon.port, '127.0.0.1').setEncoding('latin1')
  client.write(`POST /ports/${app.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n`)
  expect(String((await once(client, 'data'))[0])).toMatch(/^HTTP\/1.1 200 /)
  client.destroy()
  const answer = await send(url)
  expect(answer.status).toBe(200)
  answer.close()
})
