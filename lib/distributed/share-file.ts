import { open } from 'node:fs/promises'
import { toPath } from '../util/file-name.js'
import { cannotWrite } from '../util/files.js'
import type { Group } from './group.js'

const CHUNK = 16 * 1024 * 1024

/** Copies a file of rank 0 to a path on each of the other ranks. */
export async function shareFile(group: Group, source: string, target: string): Promise<void> {
  const file = group.isFirst ? await open(toPath(source), 'r') : await open(toPath(target), 'wx', 0o600)
  try {
    const size = await group.broadcast(async () => (await file.stat()).size)
    for (let done = 0; done < size; done += CHUNK) {
      let chunk: Uint8Array | null = null
      if (group.isFirst) {
        chunk = Buffer.alloc(Math.min(CHUNK, size - done))
        for (let filled = 0; filled < chunk.length; ) {
          const { bytesRead } = await file.read(chunk, filled, chunk.length - filled, done + filled)
          if (bytesRead === 0) throw new Error(`${source} became shorter while visiontorch was reading it`)
          filled += bytesRead
        }
      }
      chunk = await group.broadcastBytes(chunk)
      if (!group.isFirst)
        await file.writeFile(chunk).catch(error => Promise.reject(cannotWrite(target, error)))
    }
  } finally {
    await file.close()
  }
}
