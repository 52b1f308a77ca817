import type { Command } from './command.ts'
import { COMMON } from './command-line.ts'
import { Failure } from './failure.ts'

/** Commands whose word is a job, and those that take a terminal: with what lists them. */
const TAKE_JOB = ['kill', 'logs', 'wait']
const TAKE_TERMINAL = ['attach', 'record']

/** Writes what a shell needs to complete command lines of `envd ctl`. @param commands all, but for itself. */
export function completionOf(commands: readonly Command[]): Command {
  const completion: Command = {
    name: 'completion',
    usage: 'bash|zsh',
    summary: 'write the completion for a shell: source <(envd ctl completion bash)',
    words: [1, 1],
    options: {},
    run: async ({ words, write }) => {
      const script = scripts(new Map([...commands, completion].map((command) => [command.name, command])))[
        words[0] ?? ''
      ]
      if (script === undefined) throw new Failure('usage', 'a shell is one of bash, zsh')
      await write(script)
      return 0
    },
  }
  return completion
}

function scripts(commands: ReadonlyMap<string, Command>): Readonly<Record<string, string>> {
  const names = [...commands.keys()].join(' ')
  const cases = [...commands.values()]
    .map(({ name, options }) => `      ${name}) words='${wordsOf({ ...options, ...COMMON })}' ;;`)
    .join('\n')
  const listed = (takers: readonly string[], list: string) =>
    `${takers.join('|')}) words="$words $("$program" ctl ${list} -q 2>/dev/null)" ;;`
  const processes = `case $command in ${listed(TAKE_JOB, 'ps')} ${listed(TAKE_TERMINAL, 'terminals')} esac`
  const bash = `_envd() {
  local program=\${COMP_WORDS[0]} command=\${COMP_WORDS[2]} words=''
  if [ "$COMP_CWORD" = 1 ]; then words=ctl
  elif [ "\${COMP_WORDS[1]}" != ctl ]; then return
  elif [ "$COMP_CWORD" = 2 ]; then words='${names}'
  else
    case $command in
${cases}
    esac
    ${processes}
    [ "$command" = completion ] && words="$words bash zsh"
  fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _envd envd
`
  const zsh = `#compdef envd
_envd() {
  local program=\${words[1]} command=\${words[3]} found=''
  if (( CURRENT == 2 )); then found=ctl
  elif [[ \${words[2]} != ctl ]]; then return
  elif (( CURRENT == 3 )); then found='${names}'
  else
    case $command in
${cases.replaceAll('words=', 'found=')}
    esac
    ${processes.replaceAll('words', 'found')}
    [[ $command = completion ]] && found="$found bash zsh"
  fi
  compadd -- \${=found}
}
compdef _envd envd
`
  return { bash, zsh }
}

function wordsOf(options: Command['options']): string {
  return Object.entries(options)
    .flatMap(([long, { short }]) => [`--${long}`, ...(short === undefined ? [] : [`-${short}`])])
    .join(' ')
}
