import type { Http2ServerRequest, ServerHttp2Stream } from 'node:http2'
import type { Hold } from '../../budget/budget.ts'
import { freeNow } from '../../budget/memory.ts'

/**
 * Counts what has come of a body of HTTP/2 and was not read yet: Node gives its connection new window before that, so
 * only the windows of streams bound it.
 * @param hold grows by what waits, and shrinks as it is read; the caller releases it.
 * @param refuse is called when there is no room.
 */
export function countUnreadBody(request: Http2ServerRequest, hold: Hold, refuse: () => void): void {
  const { stream } = request
  let counted = 0
  let isRead = false
  const count = () => {
    const waiting = stream.readableLength + request.readableLength
    if (waiting > counted && !hold.tryGrow(waiting - counted)) return refuse()
    if (waiting < counted) hold.shrink(counted - waiting)
    counted = waiting
  }
  count()
  // What is left in it then reaches no request.
  stream.once('close', () => drop(stream))
  const { push } = stream
  stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
    const takesMore = push.call(stream, chunk, encoding)
    count()
    // Without a reader: Node keeps a call that its client has given up until its body has ended.
    if (chunk === null && stream.closed && !isRead) drop(stream)
    return takesMore
  }
  const { read } = request
  request.read = (size?: number) => {
    isRead = true
    const piece = read.call(request, size)
    count()
    return piece
  }
}

/** Frees what waits in a stream and is not read. It would be hundreds of megabytes for the garbage collector. */
function drop(stream: ServerHttp2Stream): void {
  // Otherwise all pieces would be read as one, a copy.
  stream.resume()
  for (let piece: Buffer | null = stream.read(); piece !== null; piece = stream.read()) freeNow(piece)
}
