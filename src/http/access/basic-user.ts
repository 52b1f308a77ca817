import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../../errors.ts'
import type { Users } from '../../users/users.ts'
import { refuseCall } from '../app/refuse-call.ts'

/**
 * The user that a request names: the username of its Basic authorization, possibly empty; the password means nothing.
 * Undefined without such a header, for any other scheme, and when the value is not `base64(name:password)` (contract
 * A38).
 */
export function basicUsername(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  // A client sends the same one with every request, and each asks for it several times.
  if (authorization !== last.authorization) last = { authorization, name: readUsername(authorization) }
  return last.name
}

let last: { readonly authorization: string; readonly name: string | undefined } = { authorization: '', name: undefined }

function readUsername(authorization: string): string | undefined {
  const match = /^basic ((?:[a-z0-9+/]{4})*(?:[a-z0-9+/]{2}==|[a-z0-9+/]{3}=)?)$/i.exec(authorization)
  if (match === null) return undefined
  const credentials = Buffer.from(match[1] ?? '', 'base64').toString()
  const colon = credentials.indexOf(':')
  return colon === -1 ? undefined : credentials.slice(0, colon)
}

/**
 * Refuses a request whose Basic username is no user of the sandbox, on every path (contract A39), with a Connect error
 * in the shape that its content type asks for.
 * @returns whether the request may go on, at once where nothing has to be read for that; if not, it has got its answer.
 */
export function checkBasicUser(request: FastifyRequest, reply: FastifyReply, users: Users): boolean | Promise<boolean> {
  const name = basicUsername(request.headers.authorization)
  if (name === undefined || users.known(name) !== undefined) return true
  return findUser(name, { request, reply, users })
}

async function findUser(
  name: string,
  { request, reply, users }: { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly users: Users },
): Promise<boolean> {
  if ((await users.find(name)) !== undefined) return true
  refuseCall(request, reply, new AppError('unauthenticated', `invalid username: '${name}'`))
  return false
}
