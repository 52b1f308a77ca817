import { create } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import type { ByteBudget } from '../budget/budget.ts'
import { type ListRequest, Metrics, WatchResponseSchema } from '../gen/metrics/metrics_pb.js'
import type { MetricsService } from '../metrics/service.ts'
import { listHandler, listMethod } from './list-method.ts'
import { toMetricsResponse } from './metrics-stream.ts'
import { streamCallerOf } from './request-caller.ts'
import { type UnaryMethod, unaryMethod } from './unary-route.ts'

/** The unary calls of the Metrics service as `serveUnary` runs them. */
export function metricsMethods(metrics: MetricsService, budget: ByteBudget): UnaryMethod[] {
  return [unaryMethod(Metrics.method.get, () => metrics.get()), listMethod(...listOf(metrics, budget))]
}

/** All calls of the Metrics service for the library's router. */
export function metricsCalls(metrics: MetricsService, budget: ByteBudget): ServiceImpl<typeof Metrics> {
  return {
    get: () => metrics.get(),
    list: listHandler(...listOf(metrics, budget)),
    async *watch(request, context) {
      for await (const item of metrics.watch(request, streamCallerOf(context)))
        yield create(WatchResponseSchema, toMetricsResponse(item))
    },
  }
}

function listOf(metrics: MetricsService, budget: ByteBudget) {
  return [
    Metrics.method.list,
    // A sample has many fields, and becomes an object only here.
    { name: 'samples', batch: 50, wrap: (numbers: readonly number[]) => ({ samples: metrics.samplesOf(numbers) }) },
    { run: (request: ListRequest) => metrics.list(request), budget },
  ] as const
}
