import { Option } from 'commander'
import { integer, list } from './options.js'
import { note } from './terminal.js'

// The options of a server's address and access.

export interface AddressOptions {
  host: string
  port: number
  apiKey?: string
  allowedHost?: string[]
}

export const addressOptions = (): Option[] => [
  new Option('--host <address>', 'address to listen on; 0.0.0.0 for all interfaces').default('127.0.0.1'),
  new Option('--port <n>', 'port to listen on; 0 for a free one').argParser(integer(0, 65_535)).default(8080),
  new Option('--api-key <key>', 'a key that requests must send, or several separated by commas').env(
    'VISIONTORCH_API_KEY',
  ),
  new Option(
    '--allowed-host <names>',
    'host names of a proxy in front of a server on the loopback interface',
  ).argParser(list(String)),
]

/** Warns the user if the port is open to everybody. */
export function noteOpenPort({ apiKey, host }: AddressOptions): void {
  if (apiKey === undefined && !/^(127\.|localhost$|::1$)/.test(host))
    note('anybody who can reach this port can use it; consider --api-key')
}
