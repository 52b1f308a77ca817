import { failureOfText } from './failure.ts'
import type { Sent } from './upload-queue.ts'

interface SendOptions {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly onProgress: (sent: number) => void
}

/**
 * Posts a file as it is, streamed from the disk by the browser; `fetch` does not report progress. Resolves with `exists`
 * for 409. Rejects with FileFailure, or with the signal's reason.
 */
export function sendBody(body: Blob, { url, headers, signal, onProgress }: SendOptions): Promise<Sent> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const request = new XMLHttpRequest()
    const abort = () => request.abort()
    signal.addEventListener('abort', abort, { once: true })
    request.upload.onprogress = ({ loaded }) => onProgress(loaded)
    request.onloadend = () => {
      signal.removeEventListener('abort', abort)
      if (signal.aborted) reject(signal.reason)
      else if (request.status === 200) resolve('done')
      else if (request.status === 409) resolve('exists')
      else reject(failureOfText(request.status, request.responseText))
    }
    request.open('POST', url)
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    request.send(body)
  })
}
