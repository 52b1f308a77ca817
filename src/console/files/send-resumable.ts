import type { DetailedError, Upload, UploadOptions } from 'tus-js-client'
import type { Connection } from '../connection.ts'
import { canGoOn, checkReadable, MAX_FAILURES, pause } from './attempts.ts'
import { failureOfText } from './failure.ts'
import type { SendOptions, Sent } from './upload-queue.ts'

/** Where a file goes, and how the daemon is reached. */
export interface UploadTarget {
  /** Of `/uploads`, with the query that says where the file goes: what is known of an upload is known by it. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly connection: Connection
}

/** How long an upload that is to stop waits for its URL; without it, what the daemon has made would not be found. */
const TIMEOUT_MS = 5_000
/** As the daemon keeps an upload. */
const EXPIRES_MS = 24 * 60 * 60 * 1000

/**
 * Sends a file by tus: after a lost connection or a restart of the daemon it goes on by itself, and after a pause, a
 * failure or a reload of the page when it is sent again. Resolves with `exists` if the target says `mode=create` and
 * there is a file. Rejects with FileFailure, or with the signal's reason; what has come stays then.
 */
export async function sendResumable(file: File, target: UploadTarget, options: SendOptions): Promise<Sent> {
  const { signal, onWaiting } = options
  let failures = 0
  let most = 0
  const onProgress = (sent: number) => {
    // What is sent once more is no progress.
    if (sent > most) failures = 0
    most = Math.max(most, sent)
    onWaiting(false)
    options.onProgress(sent)
  }
  const upload = await openUpload(file, target)
  for (;;) {
    const failure = await attempt(upload, { signal, onProgress })
    signal.throwIfAborted()
    if (failure === undefined) return 'done'
    const status = statusOf(failure)
    const made = failure.originalRequest?.getMethod() === 'POST'
    if (made && status === 409 && /[?&]mode=create/.test(target.url)) return 'exists'
    if (status === 0) await checkReadable(file)
    // Of a piece: it does not follow what has come, or the upload is gone.
    const asksAgain = !made && (status === 404 || status === 409)
    if (!(canGoOn(status) || asksAgain) || ++failures > MAX_FAILURES)
      throw failureOfText(status, failure.originalResponse?.getBody() ?? '')
    onWaiting(true)
    if ((await pause(target.connection, { failures, signal })) === 'lost') failures = 0
  }
}

/** Removes what has come of a file that is not being sent, as soon as the daemon can be reached. */
export async function discardResumable(file: File, target: UploadTarget): Promise<void> {
  const upload = await openUpload(file, target)
  if (upload.url === null) return
  for (let failures = 1; failures <= MAX_FAILURES; failures++) {
    const failure = await upload.abort(true).then(
      () => undefined,
      (error: DetailedError) => error,
    )
    if (failure === undefined || !canGoOn(statusOf(failure))) return
    await pause(target.connection, { failures, signal: NEVER })
  }
}

const NEVER = new AbortController().signal
let loaded: Promise<typeof import('tus-js-client')> | undefined

/** Loads the library when it is first needed, and forgets what the daemon has forgotten. */
function load() {
  loaded ??= import('tus-js-client').then(async (tus) => {
    const { urlStorage } = tus.defaultOptions
    for (const { creationTime, urlStorageKey } of await urlStorage.findAllUploads())
      if (Date.now() - Date.parse(creationTime) > EXPIRES_MS) await urlStorage.removeUpload(urlStorageKey)
    return tus
  })
  return loaded
}

/** The upload of the file, also one that was begun before the page was loaded. */
async function openUpload(file: File, { url, headers }: UploadTarget): Promise<Upload> {
  const { Upload } = await load()
  const upload = new Upload(file, {
    ...{ endpoint: url, headers: { ...headers }, retryDelays: null },
    removeFingerprintOnSuccess: true,
  })
  const [known] = await upload.findPreviousUploads()
  if (known !== undefined) upload.resumeFromPreviousUpload(known)
  return upload
}

/** The daemon names a path of its own; a proxy may serve it below another one. */
function locationBelow(endpoint: string, location: string): string {
  const id = new URL(location).pathname.split('/').at(-1) ?? ''
  const url = new URL(endpoint)
  return `${url.origin}${url.pathname}/${id}`
}

/** One go. Resolves with what it failed of; undefined: the file is in its place, or the signal has aborted. */
function attempt(
  upload: Upload,
  { signal, onProgress }: Pick<SendOptions, 'signal' | 'onProgress'>,
): Promise<DetailedError | undefined> {
  return new Promise((resolve) => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const end = (failure?: DetailedError) => {
      signal.removeEventListener('abort', stop)
      clearTimeout(timer)
      resolve(failure)
    }
    const leave = () => {
      void upload.abort()
      end()
    }
    const stop = () => {
      if (upload.url === null) timer = setTimeout(leave, TIMEOUT_MS)
      else leave()
    }
    const handlers: UploadOptions = {
      ...{ onProgress, onSuccess: () => end() },
      // All of its errors have the request, but for those of the browser's own.
      onError: (error) => end(error as DetailedError),
      onBeforeRequest: () => signal.throwIfAborted(),
      // It takes any refusal for the end of what has come.
      onAfterResponse: (request, response) => {
        const status = response.getStatus()
        if (request.getMethod() === 'HEAD' && canGoOn(status)) throw new Error(`status ${status}`)
      },
      onUploadUrlAvailable: () => {
        upload.url = locationBelow(upload.options.endpoint ?? '', upload.url ?? '')
        // A moment later, when it has been remembered.
        if (signal.aborted) setTimeout(leave)
      },
    }
    Object.assign(upload.options, handlers)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    upload.start()
  })
}

function statusOf({ originalResponse }: DetailedError): number {
  return originalResponse?.getStatus() ?? 0
}
