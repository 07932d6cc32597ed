import { Option } from 'commander'
import { integer, list } from './options.js'
import { note } from './terminal.js'

// Where a server listens, and to whom it answers.

export interface AddressOptions {
  host: string
  port: number
  apiKey?: string
  allowedHost?: string[]
}

export const addressOptions = (): Option[] => [
  new Option('--host <address>', 'where to listen; 0.0.0.0 for everywhere').default('127.0.0.1'),
  new Option('--port <n>', 'the port; 0 for a free one').argParser(integer(0, 65_535)).default(8080),
  new Option('--api-key <key>', 'a key that requests must bring, or several with commas between them').env(
    'VISIONTORCH_API_KEY',
  ),
  new Option('--allowed-host <names>', 'names of a proxy for a server on the loopback interface').argParser(
    list(String),
  ),
]

/** Tells the user if the port is open to everybody. */
export function noteOpenPort({ apiKey, host }: AddressOptions): void {
  if (apiKey === undefined && !/^(127\.|localhost$|::1$)/.test(host))
    note('anybody who can reach this port may use it: consider --api-key')
}
