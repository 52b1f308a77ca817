/** Copies a text. Browsers have a clipboard for scripts only where the page came by HTTPS or from this machine. */
export async function copy(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text)
  const field = document.createElement('textarea')
  field.value = text
  document.body.append(field)
  field.select()
  // Deprecated, and the only way there is for such pages.
  const copied = document.execCommand('copy')
  field.remove()
  if (!copied) throw new Error('this browser does not copy for pages that came by plain HTTP')
}

/** What the clipboard holds. Rejects where the browser or its user does not allow it. */
export async function read(): Promise<string> {
  if (navigator.clipboard === undefined)
    throw new Error('this browser shows the clipboard only to pages that came by HTTPS: use its own paste')
  return navigator.clipboard.readText()
}
