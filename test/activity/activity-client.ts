import { call } from '../_util/rpc.ts'

/** A reason as Connect JSON has it; what is empty, 0 or false is absent. */
export interface ReasonJson {
  readonly kind: string
  readonly lastSign: string
  readonly pid?: number
  readonly tag?: string
  readonly command?: string
  readonly port?: number
  readonly connections?: number
  readonly transfers?: number
  readonly reader?: {
    readonly method: string
    readonly userAgent: string
    readonly user?: string
    readonly address: string
    readonly since: string
  }
}

/** A status as Connect JSON has it; what is empty, 0 or false is absent. */
export interface StatusJson {
  readonly busy?: boolean
  readonly since: string
  readonly idleSeconds?: number
  readonly reasons?: readonly ReasonJson[]
  readonly lastSigns?: readonly { readonly kind: string; readonly time: string }[]
  readonly windowSeconds: number
}

/** What `activity.v1.Activity/Get` answers. */
export async function activity(url: string): Promise<StatusJson> {
  const { body } = await call(url, 'activity.v1.Activity/Get', {})
  // The shape is that of activity.proto.
  return (body as { status: StatusJson }).status
}

/** The reasons of one kind. */
export async function reasonsOf(url: string, kind: string): Promise<readonly ReasonJson[]> {
  return ((await activity(url)).reasons ?? []).filter((reason) => reason.kind === kind)
}
