import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeEach, expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { shell } from '../_util/rpc.ts'
import { debian, emptyRoot, imageOf, needsMade } from '../image/root.ts'
import { reasonOf } from './proxies.ts'

const run = promisify(execFile)
const manifest = fileURLToPath(new URL('../../scripts/recipes/kubernetes.yaml', import.meta.url))
const sandboxManifest = fileURLToPath(new URL('../../scripts/recipes/agent-sandbox.yaml', import.meta.url))
/** The CustomResourceDefinition, which `scripts/image/sandbox-schema` fetched. */
const definition = fileURLToPath(new URL('../../.cache/image/agent-sandbox.yaml', import.meta.url))
const check = fileURLToPath(new URL('./python/manifests.py', import.meta.url))
const python = fileURLToPath(new URL('../../.cache/python/kubernetes/bin/python', import.meta.url))

/** What of a pod the tests follow. */
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}
interface Mount {
  readonly name: string
  readonly mountPath: string
  readonly readOnly?: boolean
}
interface Container {
  readonly command: readonly string[]
  readonly args?: readonly string[]
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly volumeMounts: readonly Mount[]
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
}
interface Pod {
  readonly kind: string
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> }
  readonly spec: { readonly initContainers: readonly [Container]; readonly containers: readonly [Container] }
}

/** The custom resource of the agent sandbox, as far as it is used. */
interface Sandbox {
  readonly spec: { readonly podTemplate: Pick<Pod, 'metadata' | 'spec'> }
}

/** The manifests, which that version of Kubernetes accepts without an unknown member. */
async function manifests(version: string): Promise<readonly Pod[]> {
  const { stdout } = await run(python, [check, version, manifest])
  return JSON.parse(stdout)
}

/** The sandbox in that file, which its definition and that version of Kubernetes accept. */
async function sandboxIn(file: string, version = '1.34'): Promise<Sandbox> {
  const { stdout } = await run(python, [check, version, file, definition])
  return JSON.parse(stdout)[0]
}

function needsDefinition(context: { skip(note: string): void }): void {
  if (existsSync(definition)) return
  const reason = `${definition}.unavailable`
  context.skip(existsSync(reason) ? readFileSync(reason, 'utf8') : 'scripts/image/sandbox-schema was not run')
}

async function pod(): Promise<Pod> {
  const found = (await manifests('1.34')).find(({ kind }) => kind === 'Pod')
  if (found === undefined) throw new Error('there is no pod')
  return found
}

/** The word that the pod's containers have in common: the volume. */
function mountPoint(root: string, { volumeMounts }: Container): string {
  return join(root, volumeMounts.find(({ name }) => name === 'daemon')?.mountPath ?? '')
}

beforeEach((context) => {
  if (!existsSync(python)) context.skip(`the schemas are missing: ${reasonOf('kubernetes')}`)
})

test.each(['1.28', '1.31', '1.34'])('the manifests follow the schema of Kubernetes %s', async (version) => {
  expect((await manifests(version)).map(({ kind }) => kind)).toEqual(['Pod', 'NetworkPolicy'])
})

test.for(['1.28', '1.31', '1.34'])(
  'the agent sandbox follows its definition, and its pod the schema of Kubernetes %s',
  async (version, context) => {
    needsDefinition(context)
    const { metadata, spec } = await pod()
    const sandbox = await sandboxIn(sandboxManifest, version)
    expect(sandbox.spec.podTemplate.spec).toEqual(spec)
    expect(sandbox.spec.podTemplate.metadata.annotations).toEqual(metadata.annotations)
  },
)

test.for([
  ['no pod', 'podTemplate:', 'podTemplates:', "'podTemplate' is a required property"],
  ['a member that it does not know', 'spec:', 'spec:\n  operationMode: Running', "'operationMode' was unexpected"],
  ['a value that it does not know', 'spec:', 'spec:\n  operatingMode: Sleeping', "'Sleeping' is not one of"],
  ['another version', 'v1beta1', 'v1alpha1', 'v1alpha1 of Sandbox is not served'],
  ['a port that is no number', 'containerPort: 49983', 'containerPort: envd', "'envd' is not of type"],
] as const)('an agent sandbox with %s is refused by the check', async ([, from, to, error], context) => {
  needsDefinition(context)
  const changed = join(await emptyRoot(), 'sandbox.yaml')
  await writeFile(changed, (await readFile(sandboxManifest, 'utf8')).replace(from, to))
  await expect(sandboxIn(changed)).rejects.toThrow(error)
})

test('what its init container leaves in the volume runs in the main one, and probes and scrape are answered', async (context) => {
  needsNamespace(context)
  needsMade(context, 'base')
  needsMade(context, 'build')
  const { metadata, spec } = await pod()
  const [init] = spec.initContainers
  const [main] = spec.containers
  const volume = await emptyRoot()
  // As the kubelet makes it.
  await chmod(volume, 0o777)
  const sandbox = imageOf('sandbox').root
  for (const target of [mountPoint(sandbox, init), mountPoint(debian, main)]) {
    await mkdir(target, { recursive: true })
    await run('mount', ['--bind', volume, target])
  }
  await run('chroot', [sandbox, ...init.command])
  await run('mount', ['-o', 'remount,bind,ro', mountPoint(debian, main)])
  await run('mount', ['-t', 'proc', 'proc', join(debian, 'proc')])
  await run('mount', ['--rbind', '/dev', join(debian, 'dev')])

  await using daemon = await startDaemon({
    launch: ['chroot', debian, ...(main.command as [string]), ...(main.args ?? [])],
    port: main.ports[0]?.containerPort ?? 0,
  })
  expect((await shell(daemon.url, '. /etc/os-release; echo $ID')).stdout.toString()).toBe('debian\n')

  for (const { httpGet } of [main.livenessProbe, main.readinessProbe]) {
    const port = main.ports.find(({ name }) => name === httpGet.port)?.containerPort
    expect((await sendWhole(`http://127.0.0.1:${port}${httpGet.path}`)).status).toBe(204)
  }
  const scrape = (key: string) => metadata.annotations[`prometheus.io/${key}`]
  expect(scrape('scrape')).toBe('true')
  // As Prometheus 3 asks.
  const accept =
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2'
  const metrics = await sendWhole(`http://127.0.0.1:${scrape('port')}${scrape('path')}`, { headers: { accept } })
  expect(metrics.headers['content-type']).toContain('application/openmetrics-text')
  expect(metrics.text).toContain('# EOF')
  await daemon.stop()
  expect(daemon.stdout()).not.toContain('another user')
})
