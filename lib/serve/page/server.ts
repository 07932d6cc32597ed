// Requests to the server that the page comes from.

let key = ''

export const hasKey = () => key !== ''
export const setKey = (value: string) => {
  key = value
}

/** `fetch` with the API key. */
export const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(path, { ...init, headers: { ...init.headers, ...(hasKey() && { 'x-api-key': key }) } })

/** Returns the response, or throws an error with the server's message. */
export async function demand(path: string, init?: RequestInit): Promise<Response> {
  const response = await ask(path, init)
  if (!response.ok) throw new Error((await response.json()).error.message)
  return response
}

/** Yields the server-sent events of a path while the connection lasts. (An EventSource cannot send a key.) */
export async function* eventsOf<T>(path: string): AsyncGenerator<T> {
  const { body } = await demand(path)
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const messages = (rest + value).split('\n\n')
    rest = messages.pop()!
    for (const message of messages) if (message.startsWith('data: ')) yield JSON.parse(message.slice(6))
  }
}
