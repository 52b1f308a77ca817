import type { FastifyInstance } from 'fastify'
import { collapseRoute } from './collapse.ts'
import { fsfreezeRoute } from './fsfreeze.ts'
import { fsthawRoute } from './fsthaw.ts'
import { type UpgradeFeature, upgradeRoute } from './upgrade.ts'

/** What the calls of an orchestrator act on. */
interface OrchestratorDeps {
  readonly rootFreeze: { freeze(signal: AbortSignal): Promise<void>; thaw(): Promise<void> }
  readonly initialization: { readonly initialized: boolean }
  /** Undefined: the daemon cannot be exchanged. */
  readonly upgrade: UpgradeFeature | undefined
}

/** The endpoints around a pause and an exchange of the daemon; each takes the access token. */
export function orchestratorRoutes({ rootFreeze, ...upgrading }: OrchestratorDeps): (app: FastifyInstance) => void {
  return (app) => {
    fsfreezeRoute(app, rootFreeze)
    fsthawRoute(app, rootFreeze)
    collapseRoute(app)
    upgradeRoute(app, upgrading)
  }
}
