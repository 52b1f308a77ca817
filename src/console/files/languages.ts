import type { StreamLanguage } from '@codemirror/language'
import type { Extension } from '@codemirror/state'

/** Makes a language of a mode that was written for the editor's earlier version, a function over characters. */
type FromMode = (parser: Parameters<typeof StreamLanguage.define>[0]) => Extension

/** Loads a language; each is a file of its own. */
type Load = (fromMode: FromMode) => Promise<Extension>

const javascript = (options: { jsx?: boolean; typescript?: boolean }) => async () =>
  (await import('@codemirror/lang-javascript')).javascript(options)
const shell: Load = async (fromMode) => fromMode((await import('@codemirror/legacy-modes/mode/shell')).shell)
const docker: Load = async (fromMode) => fromMode((await import('@codemirror/legacy-modes/mode/dockerfile')).dockerFile)
const toml: Load = async (fromMode) => fromMode((await import('@codemirror/legacy-modes/mode/toml')).toml)
const ruby: Load = async (fromMode) => fromMode((await import('@codemirror/legacy-modes/mode/ruby')).ruby)
const lua: Load = async (fromMode) => fromMode((await import('@codemirror/legacy-modes/mode/lua')).lua)
const diff: Load = async (fromMode) => fromMode((await import('@codemirror/legacy-modes/mode/diff')).diff)
const settings: Load = async (fromMode) =>
  fromMode((await import('@codemirror/legacy-modes/mode/properties')).properties)
const python: Load = async () => (await import('@codemirror/lang-python')).python()
const json: Load = async () => (await import('@codemirror/lang-json')).json()
const html: Load = async () => (await import('@codemirror/lang-html')).html()
const css: Load = async () => (await import('@codemirror/lang-css')).css()
const markdown: Load = async () => (await import('@codemirror/lang-markdown')).markdown()
const yaml: Load = async () => (await import('@codemirror/lang-yaml')).yaml()
const rust: Load = async () => (await import('@codemirror/lang-rust')).rust()
const go: Load = async () => (await import('@codemirror/lang-go')).go()
const cpp: Load = async () => (await import('@codemirror/lang-cpp')).cpp()
const java: Load = async () => (await import('@codemirror/lang-java')).java()
const sql: Load = async () => (await import('@codemirror/lang-sql')).sql()
const xml: Load = async () => (await import('@codemirror/lang-xml')).xml()

const BY_EXTENSION: Readonly<Record<string, Load>> = {
  ...{ js: javascript({}), mjs: javascript({}), cjs: javascript({}), jsx: javascript({ jsx: true }) },
  ...{
    ts: javascript({ typescript: true }),
    mts: javascript({ typescript: true }),
    cts: javascript({ typescript: true }),
  },
  ...{ tsx: javascript({ jsx: true, typescript: true }), json, jsonc: json, ipynb: json, webmanifest: json },
  ...{ py: python, pyi: python, html, htm: html, vue: html, css, scss: css, md: markdown, markdown, yaml, yml: yaml },
  ...{ rs: rust, go, c: cpp, h: cpp, cc: cpp, cpp, cxx: cpp, hpp: cpp, hh: cpp, java, kt: java, sql, xml, svg: xml },
  ...{ sh: shell, bash: shell, zsh: shell, toml, rb: ruby, lua, diff, patch: diff, dockerfile: docker },
  ...{ ini: settings, conf: settings, cfg: settings, properties: settings, env: settings, service: settings },
}

const BY_NAME: Readonly<Record<string, Load>> = {
  ...{ Dockerfile: docker, Containerfile: docker, '.bashrc': shell, '.profile': shell, '.bash_history': shell },
  ...{
    Gemfile: ruby,
    Rakefile: ruby,
    '.env': settings,
    '.gitconfig': settings,
    'Cargo.lock': toml,
    'poetry.lock': toml,
  },
}

const BY_INTERPRETER: readonly (readonly [RegExp, Load])[] = [
  [/\b(?:ba|z|da|k)?sh\b/, shell],
  [/\bpython/, python],
  [/\b(?:node|deno|bun)\b/, javascript({})],
  [/\bruby\b/, ruby],
]

/** The language of a file, by its name or its first line; undefined: it has none that is known. */
export async function languageOf(name: string, text: string, fromMode: FromMode): Promise<Extension | undefined> {
  const byName = BY_NAME[name] ?? BY_EXTENSION[name.slice(name.lastIndexOf('.') + 1).toLowerCase()]
  if (byName !== undefined) return byName(fromMode)
  const first = text.slice(0, 200).split('\n', 1)[0] ?? ''
  if (!first.startsWith('#!')) return undefined
  return BY_INTERPRETER.find(([pattern]) => pattern.test(first))?.[1](fromMode)
}
