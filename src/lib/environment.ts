/**
 * Whether a program can be given that variable: a name that is not empty and has no `=`, and no NUL byte (environ(7)).
 */
export function isVariable(name: string, value: string): boolean {
  return name !== '' && !/[=\0]/.test(name) && !value.includes('\0')
}

/** What is logged of others, without their names: who mixes up name and value has put a secret there. */
export const LEFT_OUT = 'environment variables with an empty name, with = in the name or with NUL were left out'

/** How many of the variables no program can be given. */
export function countUnusable(variables: Iterable<readonly [string, string]>): number {
  let count = 0
  for (const [name, value] of variables) if (!isVariable(name, value)) count++
  return count
}
