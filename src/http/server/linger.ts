import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { discardRest } from './discard-rest.ts'

/**
 * Makes a connection that ends after an answer wait for a client which still sends its request: closed at once, with
 * bytes unread, it would be reset, and the client might never see the answer (RFC 9112, 9.6). `discardRest` bounds the
 * wait. Call it once per connection.
 * @param latest the last request that came by it
 */
export function linger(socket: Socket, latest: () => IncomingMessage | undefined): void {
  const destroySoon = socket.destroySoon.bind(socket)
  socket.destroySoon = () => {
    const request = latest()
    // A client that has closed its side in the middle sends no more.
    const over = socket.readableEnded
    if (request === undefined || request.complete || request.destroyed || over) {
      // Node has done with a request that is answered: the reader of its body would wait.
      if (over && request?.complete === false) socket.once('close', () => request.destroy())
      destroySoon()
      return
    }
    socket.end()
    const close = () => socket.destroy()
    request.once('end', close).once('close', close)
    discardRest(request)
  }
}
