import { ConnectError } from '@connectrpc/connect'
import { messageText } from '../lib/message-text.ts'

/**
 * UTF-16 units of an error's message in a gRPC trailer: percent-encoded at most nine times as many bytes, which is
 * below the 16 KiB of headers that Node and gRPC's own libraries take.
 */
const MAX_LENGTH = 1000

const texts = new WeakMap<ConnectError, string>()

/**
 * Makes the message of every error of the library one that a header can carry (`messageText`), also of those that it
 * makes itself, out of bytes of the request: it percent-encodes them, which fails for half a surrogate pair, and then
 * answers nothing.
 */
export function makeErrorsSendable(): void {
  Object.defineProperty(ConnectError.prototype, 'rawMessage', {
    configurable: true,
    get(this: ConnectError): string {
      return texts.get(this) ?? ''
    },
    set(this: ConnectError, text: unknown) {
      texts.set(this, messageText(String(text), MAX_LENGTH))
    },
  })
}
