/**
 * The emulator makes `<style>` elements for its colours and sizes, which the policy of the page forbids as it does all
 * that is inline. In their place it gets elements that are no styles. Their text goes into a constructed sheet, which
 * the page's own script makes and so may. The same is done for `style` attributes of the pieces of its lines. To be
 * called once, before the first emulator is made.
 */
export function adoptStyleElements(document: Document): void {
  const create = document.createElement.bind(document)
  // The overloads of `createElement` are those of the original, which is called for everything else.
  document.createElement = ((name: string, options?: ElementCreationOptions) =>
    name === 'style' ? styleOf(document, create('template')) : create(name, options)) as Document['createElement']
  HTMLSpanElement.prototype.setAttribute = function setAttribute(name, value) {
    if (name === 'style') this.style.cssText = value
    else Element.prototype.setAttribute.call(this, name, value)
  }
}

/** An element whose `textContent` is a sheet of the document, until it is removed. */
function styleOf(document: Document, element: HTMLTemplateElement): HTMLTemplateElement {
  const sheet = new CSSStyleSheet()
  document.adoptedStyleSheets.push(sheet)
  const remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet)
    Element.prototype.remove.call(element)
  }
  Object.defineProperties(element, {
    textContent: { set: (text: string) => sheet.replaceSync(text) },
    remove: { value: remove },
  })
  return element
}
