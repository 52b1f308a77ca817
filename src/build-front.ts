import { createUnreadFrames } from './budget/unread-frames.ts'
import type { Features, Frame } from './build-features.ts'
import { countedBy, freezeRoutes } from './build-parts.ts'
import { capabilitiesJson } from './capabilities/rpc.ts'
import type { Config } from './config.ts'
import { refuseForeignPages } from './http/access/foreign-pages.ts'
import { buildApp } from './http/app/app.ts'
import { relayPorts } from './http/ports/relays.ts'
import { capabilitiesRoute } from './http/routes/capabilities.ts'
import { composeRoutes } from './http/routes/compose.ts'
import { consoleRoute } from './http/routes/console.ts'
import { envsRoute } from './http/routes/envs.ts'
import { filesRoutes } from './http/routes/files.ts'
import { directHealth, healthRoute } from './http/routes/health.ts'
import { initRoute } from './http/routes/init.ts'
import { metricsRoute } from './http/routes/metrics.ts'
import { orchestratorRoutes } from './http/routes/orchestrator-routes.ts'
import { portAccessRoute } from './http/routes/port-access.ts'
import { readyRoute } from './http/routes/ready.ts'
import type { UpgradeFeature } from './http/routes/upgrade.ts'
import { uploadsRoutes } from './http/routes/uploads.ts'
import { rpcRoutes } from './rpc/routes.ts'
import { rpcServices } from './rpc-services.ts'

/** Builds what calls reach the features through: every service and every URL. The caller closes it. */
export function buildFront(config: Config, frame: Frame, features: Features, upgrade: UpgradeFeature | undefined) {
  const { logs, token, listener, shutdown, keeper } = frame
  const { log } = logs
  const { files, workload, initialization, services, observer, sampler, figures, streams } = features
  const { protection, checkAfterResume } = features
  const { budget, bodies } = files
  const unread = createUnreadFrames(budget)
  const served = rpcServices(config, { ...features, keeper, recent: logs.recent, unread })
  const rpc = rpcRoutes({
    ...{ bodies, budget, unread, compressors: files.compressors, log, shutdown },
    ...{ services: served.tables, streams, countCall: countedBy(figures.calls, observer) },
  })
  const metrics = metricsRoute({ sampler, ...figures, budget, idleSeconds: () => observer.status().idleSeconds })
  return buildApp({
    log,
    token,
    users: files.users,
    onTokenShown: listener.showedToken,
    serverFactory: (handler) =>
      listener.serverFactory(
        refuseForeignPages(relayPorts(handler, { token, budget, log, onTokenShown: listener.showedToken }), {
          config,
          isProtected: () => token.isSet,
          log,
        }),
      ),
    routes: [
      healthRoute,
      (scope) => capabilitiesRoute(scope, () => capabilitiesJson(served.capabilities)),
      (scope) => readyRoute(scope, services, observer.status),
      metrics.register,
      (scope) => envsRoute(scope, files),
      (scope) => initRoute(scope, { initialization, bodies, memory: protection, checkAfterResume }),
      orchestratorRoutes({ rootFreeze: features.rootFreeze, initialization, upgrade }),
      freezeRoutes(workload, sampler, logs),
      filesRoutes({ ...files, onTransfer: features.transfers.begin }),
      composeRoutes(files),
      uploadsRoutes({ ...files, uploads: features.uploads, onTransfer: features.transfers.begin }),
      (scope) => portAccessRoute(scope, token),
      ...(config.console ? [consoleRoute] : []),
      rpc.register,
    ],
    direct: [directHealth, metrics.direct, ...rpc.direct],
  })
}
