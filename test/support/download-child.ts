// A process that downloads a file: the second one in the test of two processes.
import { download } from '../../lib/download/download.js'

const [url, destination, sha256] = process.argv.slice(2)
await download(url!, destination!, { sha256 })
