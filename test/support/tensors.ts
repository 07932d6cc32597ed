import { createHash } from 'node:crypto'
import { type CheckpointValue, native } from '../../lib/native/native.js'

/** Returns all tensors of a checkpoint, including the optimizer's, as `name hash`. */
export async function tensorHashes(path: string): Promise<string[]> {
  const checkpoint = await native().openCheckpoint(path, { verify: true })
  const found: string[] = []
  const visit = (value: CheckpointValue, name: string): void => {
    if (value instanceof Map) for (const [key, entry] of value) visit(entry, `${name}.${key}`)
    else if (Array.isArray(value)) for (const [i, entry] of value.entries()) visit(entry, `${name}.${i}`)
    else if (typeof value === 'object' && value !== null && 'dtype' in value) {
      const { buffer, byteOffset, byteLength } = value.data
      const bytes = Buffer.from(buffer, byteOffset, byteLength)
      found.push(`${name} ${createHash('sha256').update(bytes).digest('hex')}`)
    }
  }
  visit(await checkpoint.read(), '')
  checkpoint.dispose()
  return found
}
