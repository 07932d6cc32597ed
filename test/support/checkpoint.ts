import { createHash } from 'node:crypto'
import type { CheckpointValue, TensorData } from '../../lib/index.js'

/** The reference files' record of a tensor: its type, its shape and the SHA-256 of its contiguous bytes. */
export interface TensorHash {
  dtype: string
  shape: number[]
  sha256: string
}

export function isTensor(value: CheckpointValue): value is TensorData {
  return typeof value === 'object' && value !== null && 'dtype' in value
}

/** Returns the hash of every tensor in a value, by the keys on the path to it, joined by '/'. */
export function hashTensors(value: CheckpointValue, path = ''): Record<string, TensorHash> {
  if (isTensor(value)) {
    const sha256 = createHash('sha256').update(new Uint8Array(value.data.buffer)).digest('hex')
    return { [path]: { dtype: value.dtype, shape: value.shape, sha256 } }
  }
  const entries = value instanceof Map ? value : Array.isArray(value) ? value.entries() : []
  const hashes: Record<string, TensorHash> = {}
  for (const [key, item] of entries) {
    Object.assign(hashes, hashTensors(item, path === '' ? String(key) : `${path}/${key}`))
  }
  return hashes
}
