const MIB = 2 ** 20

/** Requests to `/init` that are a lot of work for their size. */
export function heavyInits() {
  const envVars = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`V${i}`, 'x'.repeat(20)]))
  const caBundle = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'.repeat(40_000)
  return [
    init('lists in lists for /init', `[[]${',[]'.repeat(MIB)}]`),
    init('100,000 variables', JSON.stringify({ envVars })),
    init('a variable of 3 MiB', JSON.stringify({ envVars: { X: 'x'.repeat(3 * MIB) } })),
    init('3 MiB of certificates', JSON.stringify({ caBundle })),
    init('100,000 volumes', JSON.stringify({ volumeMounts: Array(30_000).fill({ nfs_target: 'x', path: '/x' }) })),
    init('a token that its body nearly has', tokenNearlyThere()),
  ]
}

function init(name: string, body: string) {
  return { name, path: '/init', body, headers: { 'content-type': 'application/json' } }
}

/** The token is a piece of the text before it but for one character in its middle: a search tries every place. */
function tokenNearlyThere(): string {
  const item = `"${'A'.repeat(20)}"`
  const items = `${item},`.repeat(10_000)
  const token = `${items}X${items}`.slice(1, -2)
  return `{"x":[${Array(60_000).fill(item).join(',')}],"accessToken":${JSON.stringify(token)}}`
}
