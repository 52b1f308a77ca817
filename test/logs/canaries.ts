import { randomBytes } from 'node:crypto'

/** Secrets that are distinguished from everything else, wherever and however they turn up. */
export interface Canaries {
  /** A new one, of letters and digits; `where` names it in the outcome. */
  plant(where: string): string
  /** Watches for a secret that was made elsewhere. */
  watch(where: string, secret: string): string
  /** Which of them are in a text: as they are, or in hexadecimal, base64 or percent encoding. */
  foundIn(text: string): string[]
  readonly count: number
}

export function createCanaries(): Canaries {
  const secrets: { readonly where: string; readonly forms: readonly string[] }[] = []
  const watch = (where: string, secret: string) => {
    secrets.push({ where, forms: formsOf(secret) })
    return secret
  }
  return {
    watch,
    plant: (where) => watch(where, `canary${randomBytes(8).toString('hex')}`),
    foundIn: (text) => {
      const lower = text.toLowerCase()
      const isIn = (form: string) => text.includes(form) || lower.includes(form.toLowerCase())
      return secrets.filter(({ forms }) => forms.some(isIn)).map(({ where }) => where)
    },
    get count() {
      return secrets.length
    },
  }
}

function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const escaped = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
  return [secret, bytes.toString('hex'), escaped, encodeURIComponent(secret), ...base64Forms(bytes)]
}

/**
 * As a part of something larger, it may begin at any of three places within a group of four; the groups at its ends are
 * not its own.
 */
function base64Forms(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const whole = Buffer.concat([Buffer.alloc(shift), bytes])
    return (['base64', 'base64url'] as const).map((form) => whole.toString(form).replaceAll('=', '').slice(4, -4))
  })
}
