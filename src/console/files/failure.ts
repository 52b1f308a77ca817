import { Code, ConnectError } from '@connectrpc/connect'

/** A failure whose message people can read. */
export class FileFailure extends Error {
  /** HTTP status of an answer of `/files`; 0: there was none. */
  readonly status: number

  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message, options)
    this.name = 'FileFailure'
    this.status = status
  }
}

const BY_STATUS: Readonly<Record<number, string>> = {
  401: 'The access token is needed',
  403: 'Permission denied',
  404: 'Not found',
  408: 'The connection was too slow',
  409: 'Not possible in this place',
  412: 'The file has changed',
  413: 'Too large',
  503: 'The sandbox is busy; try again',
  507: 'The disk is full',
}

const BY_CODE: Readonly<Partial<Record<Code, string>>> = {
  [Code.PermissionDenied]: BY_STATUS[403] ?? '',
  [Code.NotFound]: BY_STATUS[404] ?? '',
  [Code.AlreadyExists]: 'It exists already',
  [Code.ResourceExhausted]: 'A limit is reached',
  [Code.Unauthenticated]: BY_STATUS[401] ?? '',
}

const UNREACHABLE = 'The sandbox cannot be reached'

/** The failure of an answer of `/files`: what its JSON body says behind what its status means. Reads the body. */
export async function failureOf(response: Response): Promise<FileFailure> {
  return failureOfText(response.status, await response.text().catch(() => ''))
}

/** The same from the text of a body. */
export function failureOfText(status: number, text: string): FileFailure {
  if (status === 0) return new FileFailure(UNREACHABLE, 0)
  return new FileFailure(joined(BY_STATUS[status], messageIn(text) ?? `HTTP ${status}`), status)
}

/** A failure as text: of a call, of `/files`, or of the page itself. */
export function textOf(error: unknown): string {
  if (error instanceof ConnectError) return textOfCall(error)
  if (error instanceof TypeError) return UNREACHABLE
  return error instanceof Error ? error.message : String(error)
}

function textOfCall(error: ConnectError): string {
  const { code, rawMessage, cause } = error
  // What fetch rejects with when there is no connection.
  if (cause instanceof TypeError) return UNREACHABLE
  if (/no space left|disk quota/i.test(rawMessage)) return joined(BY_STATUS[507], rawMessage)
  return joined(BY_CODE[code], rawMessage)
}

function joined(meaning: string | undefined, message: string): string {
  if (meaning === undefined) return message
  return message === '' ? `${meaning}.` : `${meaning}: ${message}`
}

function messageIn(text: string): string | undefined {
  try {
    const body: unknown = JSON.parse(text)
    const known = typeof body === 'object' && body !== null && 'message' in body
    return known && typeof body.message === 'string' ? body.message : undefined
  } catch {
    return undefined
  }
}
