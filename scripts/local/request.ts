/** What a client says about a sandbox that it creates; what it does not say has the product's defaults. */
export interface SandboxRequest {
  readonly templateID: string
  readonly metadata: Readonly<Record<string, string>>
  readonly envVars: Readonly<Record<string, string>>
  /** Seconds. */
  readonly timeout: number
  /** Guarded by an access token. */
  readonly secure: boolean
  /** At its timeout it is paused, not killed. */
  readonly autoPause: boolean
  /** Its processes stand still while it is paused for its timeout, else they end. */
  readonly autoPauseMemory: boolean
  /** The first request to a paused one resumes it. */
  readonly autoResume: boolean
  /** Undefined: it was not said. Nothing here is kept from the network; what was asked for is only told again. */
  readonly allowInternetAccess: boolean | undefined
  readonly network: object | undefined
}

type Fields = Readonly<Record<string, unknown>>

const DEFAULT_TIMEOUT_SECONDS = 300

/** Reads the body of a creation, of any release of the SDK. */
export function toRequest(body: unknown, secureByDefault: boolean): SandboxRequest {
  const given = fieldsOf(body)
  const lifecycle = fieldsOf(given['lifecycle'])
  const access = given['allow_internet_access']
  return {
    templateID: String(given['templateID'] ?? 'base'),
    metadata: textsOf(given['metadata']),
    envVars: textsOf(given['envVars']),
    timeout: secondsOf(given),
    secure: typeof given['secure'] === 'boolean' ? given['secure'] : secureByDefault,
    autoPause: given['autoPause'] === true || lifecycle['onTimeout'] === 'pause',
    autoPauseMemory: given['autoPauseMemory'] !== false,
    autoResume: fieldsOf(given['autoResume'])['enabled'] === true || lifecycle['autoResume'] === true,
    allowInternetAccess: typeof access === 'boolean' ? access : undefined,
    network: toNetwork(given['network']),
  }
}

/** The network that a body asks for. */
export function toNetwork(value: unknown): object | undefined {
  return typeof value === 'object' && value !== null ? value : undefined
}

/** The `timeout` of a body, in seconds. */
export function secondsOf(body: unknown): number {
  const timeout = Number(fieldsOf(body)['timeout'])
  return timeout >= 0 ? timeout : DEFAULT_TIMEOUT_SECONDS
}

/** Whether a body wants the processes kept, or brought back: the default. */
export function wantsMemory(body: unknown): boolean {
  return fieldsOf(body)['memory'] !== false
}

/** The members of a JSON object; none of anything else. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function textsOf(value: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(fieldsOf(value)).map(([name, text]) => [name, String(text)]))
}
