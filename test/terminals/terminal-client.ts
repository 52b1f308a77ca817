import type { Terminal } from '@xterm/headless'
import { type CallOptions, open, type Stream } from '../_util/rpc.ts'
import { draw, emulator } from './drawn.ts'

interface SizeJson {
  readonly columns: number
  readonly rows: number
}

/** A message of Open and Attach, as Connect JSON has it: bytes are base64, and what is empty, 0 or false is absent. */
interface TerminalMessage {
  readonly attached?: { pid: number; name?: string; client: number; size: SizeJson; started?: boolean }
  readonly screen?: {
    data?: string
    more?: boolean
    offset?: string
    size: SizeJson
    alternate?: boolean
    title?: string
    cwd?: string
  }
  readonly output?: { data: string; offset?: string }
  readonly resized?: SizeJson
  readonly end?: { exitCode?: number; status: string }
  readonly keepalive?: object
}

/** A client of a terminal that draws all that it is sent, and notes where it stands. */
export class TerminalClient {
  readonly stream: Stream<TerminalMessage>
  readonly bytes: Buffer[] = []
  attached: NonNullable<TerminalMessage['attached']> = { pid: 0, client: 0, size: { columns: 0, rows: 0 } }
  screen: TerminalMessage['screen']
  resized: SizeJson[] = []
  end: TerminalMessage['end']
  emulator: Terminal = emulator(80, 24)
  /** Of the first byte of output that it was sent. */
  first: number | undefined
  /** Of the next byte. */
  next = 0

  private constructor(stream: Stream<TerminalMessage>) {
    this.stream = stream
  }

  /** Calls `Open` or `Attach`, and reads the first message. */
  static async open(
    url: string,
    method: 'Open' | 'Attach',
    request: object,
    options: CallOptions = {},
  ): Promise<TerminalClient> {
    const client = new TerminalClient(await open(url, `terminals.v1.Terminals/${method}`, request, options))
    const { attached } = await client.stream.next()
    if (attached === undefined) throw new Error('the first message is not attached')
    client.attached = attached
    client.emulator = emulator(attached.size.columns, attached.size.rows)
    return client
  }

  /** Takes the next message. Throws for a gap or an overlap in the output. */
  async take(): Promise<TerminalMessage> {
    const message = await this.stream.next()
    const { screen, output, resized } = message
    if (screen !== undefined) {
      this.screen = screen
      this.next = Number(screen.offset ?? 0)
      await draw(this.emulator, Buffer.from(screen.data ?? '', 'base64'))
    }
    if (output !== undefined) {
      const [bytes, offset] = [Buffer.from(output.data, 'base64'), Number(output.offset ?? 0)]
      this.first ??= offset
      if (this.first !== offset && offset !== this.next) throw new Error(`output at ${offset} instead of ${this.next}`)
      this.next = offset + bytes.length
      this.bytes.push(bytes)
      await draw(this.emulator, bytes)
    }
    if (resized !== undefined) {
      this.resized.push(resized)
      this.emulator.resize(resized.columns, resized.rows)
    }
    this.end ??= message.end
    return message
  }

  /** Takes messages until that is so. */
  async until(fulfilled: () => boolean): Promise<void> {
    while (!fulfilled()) await this.take()
  }

  /** Everything that was drawn on the screen, as text. */
  text(): string {
    const { active } = this.emulator.buffer
    return Array.from({ length: active.length }, (_, row) => active.getLine(row)?.translateToString(true) ?? '').join(
      '\n',
    )
  }

  output(): Buffer {
    return Buffer.concat(this.bytes)
  }

  close(): void {
    this.stream.close()
  }
}
