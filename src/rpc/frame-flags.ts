import { Code, ConnectError } from '@connectrpc/connect'
import { mediaType } from './guard.ts'

const HEADER_BYTES = 5

/** Flags that a frame may have: bit 1 says compressed; bit 2 ends a Connect stream, bit 128 marks the trailers of gRPC-Web. */
const CONNECT = 0b11
const GRPC = 0b1
const GRPC_WEB = 0b10000001

/** The flags that frames of this content type may have. */
export function knownFlags(contentType: string | undefined): number {
  const type = mediaType(contentType)
  if (type.startsWith('application/grpc-web')) return GRPC_WEB
  return type.startsWith('application/grpc') ? GRPC : CONNECT
}

/** Hands on a body of frames as it comes; throws `invalid_argument` at a frame with another flag than those known. */
export async function* checkedFrames(body: AsyncIterable<Uint8Array>, known: number): AsyncGenerator<Uint8Array, void> {
  const header = Buffer.alloc(HEADER_BYTES)
  let headed = 0
  let payload = 0
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; ) {
      const skipped = Math.min(payload, chunk.length - at)
      payload -= skipped
      at += skipped
      if (payload > 0 || at === chunk.length) break
      header[headed++] = chunk[at++] ?? 0
      if (headed < HEADER_BYTES) continue
      checkFlags(header.readUInt8(0), known)
      payload = header.readUInt32BE(1)
      headed = 0
    }
    yield chunk
  }
}

function checkFlags(flags: number, known: number): void {
  if ((flags & ~known) !== 0) throw new ConnectError(`a frame has unknown flags: ${flags}`, Code.InvalidArgument)
}
