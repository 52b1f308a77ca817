/**
 * Checks that documents say what the code has: docs/flags.md every flag with its default, docs/endpoints.md every route
 * and every method of every service, docs/limits.md the range of each limit of a command. Exit code 1 on a difference.
 */
import { globSync, readFileSync } from 'node:fs'
import { flags } from '../src/config/flags.ts'
import { limitsOfHeaders } from '../src/process/limits.ts'

const FLAGS = 'docs/flags.md'
const ENDPOINTS = 'docs/endpoints.md'
const LIMITS = 'docs/limits.md'
const ROUTE = /\bapp\.(get|post|head|patch|delete|options)\b[^'\n]*'([^']+)'/g

const checks = [flagBreaches(), routeBreaches(), methodBreaches(), limitBreaches()]
const breaches = checks.flatMap(({ wrong }) => wrong)
for (const line of breaches) console.error(line)
const [flagCount, routeCount, methodCount, limitCount] = checks.map(({ count }) => count)
console.log(`${flagCount} flags, ${routeCount} routes, ${methodCount} methods and ${limitCount} limits were compared`)
process.exitCode = breaches.length > 0 ? 1 : 0

interface Result {
  /** Things that were compared. */
  readonly count: number
  readonly wrong: readonly string[]
}

/** The cells of the rows of all tables of a document. */
function rows(file: string): string[][] {
  const lines = readFileSync(file, 'utf8').matchAll(/^\|(.*)\|$/gm)
  return [...lines].map(([, line = '']) => line.split('|').map((cell) => cell.trim()))
}

/** Defaults are compared where they are numbers or `true`; of a row of several flags, another page has them. */
function flagBreaches(): Result {
  const documented = rows(FLAGS).flatMap(([names = '', preset = '']) =>
    [...names.matchAll(/`-([a-z-]+)`/g)].map(([, name = '']) => ({ name, preset })),
  )
  const known = Object.entries(flags)
  const missing = known.filter(([name]) => documented.every((row) => row.name !== name))
  const extra = documented.filter(({ name }) => !(name in flags))
  const different = known.filter(([name, { default: preset }]) => {
    const { preset: cell = '' } = documented.find((row) => row.name === name) ?? {}
    return (typeof preset === 'number' || preset === true) && cell !== '' && cell !== String(preset)
  })
  return {
    count: known.length,
    wrong: [
      ...missing.map(([name]) => `${FLAGS}: -${name} is missing`),
      ...extra.map(({ name }) => `${FLAGS}: there is no flag -${name}`),
      ...different.map(([name, { default: preset }]) => `${FLAGS}: -${name} has the default ${String(preset)}`),
    ],
  }
}

function routeBreaches(): Result {
  const named = rows(ENDPOINTS).map(([cell = '']) => cell)
  const routes = globSync('src/http/routes/*.ts').flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(ROUTE)].map(([, method = '', path = '']) => ({
      method: method.toUpperCase(),
      path: path.replace(/:(\w+)/, '{$1}'),
    })),
  )
  const names = (cell: string, path: string) => [`${path}\``, `${path}?`].some((text) => cell.includes(text))
  const missing = routes.filter(({ method, path }) => !named.some((cell) => cell.includes(method) && names(cell, path)))
  return {
    count: routes.length,
    wrong: missing.map(({ method, path }) => `${ENDPOINTS}: ${method} ${path} is missing`),
  }
}

/** The rows and paragraphs that name a service must name its methods. */
function methodBreaches(): Result {
  const blocks = readFileSync(ENDPOINTS, 'utf8')
    .split('\n\n')
    .flatMap((block) => (block.startsWith('|') ? block.split('\n') : [block]))
  const methods = globSync('proto/**/*.proto').flatMap((file) => {
    const text = readFileSync(file, 'utf8')
    const service = `${/^package ([\w.]+);/m.exec(text)?.[1]}.${/^service (\w+)/m.exec(text)?.[1]}`
    return [...text.matchAll(/^ {2}rpc (\w+)/gm)].map(([, method = '']) => ({ service, method }))
  })
  const missing = methods.filter(({ service, method }) => {
    const about = blocks.filter((block) => new RegExp(`\`${service}[/\`]`).test(block))
    return !about.some((block) => new RegExp(`\\b${method}\\b`).test(block))
  })
  return {
    count: methods.length,
    wrong: missing.map(({ service, method }) => `${ENDPOINTS}: ${service}/${method} is missing`),
  }
}

/** Both ends of each range are accepted, and what is beyond them is not. */
function limitBreaches(): Result {
  const limits = rows(LIMITS).filter(([header = '']) => header.startsWith('`Command-'))
  const wrong = limits.flatMap(([cell = '', range = '']) => {
    const header = cell.replaceAll('`', '')
    const [least = Number.NaN, most] = [...range.matchAll(/\d+(?:\.\d+)?/g)].map(([text]) => Number(text))
    const beyond = most === undefined ? [] : [most + 1]
    const good = [least, most ?? least].every((value) => accepts(header, value))
    const bad = [least - (least < 1 ? 0.001 : 1), ...beyond].some((value) => accepts(header, value))
    return good && !bad ? [] : [`${LIMITS}: ${header} has another range than ${range}`]
  })
  return { count: limits.length, wrong }
}

function accepts(header: string, value: number): boolean {
  try {
    limitsOfHeaders((name) => (name === header.toLowerCase() ? String(value) : undefined))
    return true
  } catch {
    return false
  }
}
