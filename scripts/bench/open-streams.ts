import { Agent, type ClientRequest, request } from 'node:http'
import { enveloped, USER } from './client.ts'

/** Streams that stay open, each with a connection of its own, and uploads whose body is not ended. */
export class OpenStreams {
  readonly #agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
  readonly #requests = new Set<ClientRequest>()
  readonly #url: URL

  constructor(url: URL) {
    this.#url = url
  }

  /** Opens a server stream in the Connect protocol; resolves once its first message has come. */
  open(method: string, message: object): Promise<void> {
    return this.#begin(method, message).then(() => {})
  }

  /** The same, and leaves it then. */
  async visit(method: string, message: object): Promise<void> {
    const sent = await this.#begin(method, message)
    this.#requests.delete(sent)
    sent.destroy()
  }

  #begin(method: string, message: object): Promise<ClientRequest> {
    const type = { 'content-type': 'application/connect+json', 'connect-protocol-version': '1' }
    const sent = this.#request(`/${method}`, type)
    sent.end(enveloped(Buffer.from(JSON.stringify(message))))
    return new Promise((resolve, reject) => {
      sent.on('error', reject)
      sent.on('response', (response) => {
        response.on('error', () => {})
        response.on('data', () => resolve(sent))
        response.on('end', () => reject(new Error(`${method} has ended with ${response.statusCode}`)))
      })
    })
  }

  /** Sends the beginning of an upload, and resolves when it has left this process. */
  upload(path: string, beginning: Buffer): Promise<void> {
    const sent = this.#request(path, {
      'content-type': 'application/octet-stream',
      'content-length': beginning.length * 2,
    })
    return new Promise((resolve, reject) => {
      sent.on('error', reject)
      sent.write(beginning, () => resolve())
    })
  }

  close(): void {
    for (const open of this.#requests) {
      open.on('error', () => {})
      open.destroy()
    }
    this.#requests.clear()
    this.#agent.destroy()
  }

  #request(path: string, headers: Readonly<Record<string, string | number>>): ClientRequest {
    const { hostname: host, port } = this.#url
    const sent = request({ agent: this.#agent, host, port, path, method: 'POST', headers: { ...USER, ...headers } })
    this.#requests.add(sent)
    return sent
  }
}
