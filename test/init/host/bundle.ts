import { createHash } from 'node:crypto'

/** Text in the shape of a certificate, another one for each number. */
export function certificate(number: number): string {
  const line = createHash('sha512').update(String(number)).digest('base64').slice(0, 64)
  return `-----BEGIN CERTIFICATE-----\n${`${line}\n`.repeat(20)}-----END CERTIFICATE-----\n`
}

/** A bundle of two certificates. */
export function bundle(number: number): string {
  return certificate(2 * number) + certificate(2 * number + 1)
}
