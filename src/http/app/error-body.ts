/** The body of every HTTP error: `{"code":<status>,"message":"…"}` and a newline, code first. */
export function errorBody(status: number, message: string): string {
  return `{"code":${status},"message":${JSON.stringify(message)}}\n`
}
