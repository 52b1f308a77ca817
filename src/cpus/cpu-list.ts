/** CPUs that a kernel may have (NR_CPUS), several times over. */
const MAX_CPU = 65_535

/** Reads a list of CPUs as sysfs has them (`0-3,5`), ascending; what is no such list, or is empty, is undefined. */
export function parseCpuList(text: string): number[] | undefined {
  const [line = ''] = text.split('\n', 1)
  const cpus = new Set<number>()
  for (const range of line.split(',')) {
    const [, first = '', last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range) ?? []
    if (first === '' || Number(last) > MAX_CPU || Number(last) < Number(first)) return undefined
    for (let cpu = Number(first); cpu <= Number(last); cpu++) cpus.add(cpu)
  }
  return [...cpus].sort((a, b) => a - b)
}
