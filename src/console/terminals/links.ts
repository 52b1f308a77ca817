/** Opens a link of a terminal in a window of its own, which knows nothing of this page. Only those of the web are. */
export function openLink(address: string): void {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url?.protocol === 'http:' || url?.protocol === 'https:') window.open(url, '_blank', 'noopener,noreferrer')
}
