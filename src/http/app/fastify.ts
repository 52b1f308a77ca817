import { type FastifyServerOptions, fastify } from 'fastify'

type SchemaCompilers = NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>

/**
 * No route has a schema, and Fastify's own compilers, which it would load nevertheless, are a third of a megabyte of
 * code. The cast: their types name properties of that code.
 */
const noSchemas = {
  buildValidator: () => () => () => true,
  buildSerializer: () => () => JSON.stringify,
} as unknown as SchemaCompilers

/** Above every request target: a path with a part that is too long for a name is not there, like any other. */
const MAX_NAME = 1024 * 1024

/** A Fastify app without logger, schemas and parsers: bodies of every content type arrive unread, in `request.raw`. */
export function createFastify(options: FastifyServerOptions) {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: MAX_NAME },
    schemaController: { compilersFactory: noSchemas },
    ...options,
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  return app
}
