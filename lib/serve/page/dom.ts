// Short forms of functions of the browser.

export const find = <T extends HTMLElement>(id: string) => document.getElementById(id) as T

export const make = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] => {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

export const share = (value: number) => `${(100 * value).toFixed(1)}%`
