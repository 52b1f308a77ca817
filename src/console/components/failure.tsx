/** Why something failed, read out by screen readers; without a text nothing is shown. */
export function Failure({ text }: { readonly text: string | undefined }) {
  return text === undefined || text === '' ? null : (
    <p class="failure" role="alert">
      {text}
    </p>
  )
}
