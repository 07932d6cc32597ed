import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

// Every random choice of training derives from (seed, epoch, index) by these two functions, never from timing or the
// state of a generator. So a resumed run draws the same values as an uninterrupted one.

/** Derives one 32-bit seed from several integers by passing each of their words through MurmurHash3's finaliser. */
export function deriveSeed(...values: number[]): number {
  let hash = 0
  for (const value of values) {
    for (const word of [value >>> 0, Math.floor(value / 2 ** 32) >>> 0]) {
      hash = Math.imul((hash + 0x9e3779b9) ^ word, 0x85ebca6b)
      hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
      hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
      hash ^= hash >>> 16
    }
  }
  return hash >>> 0
}

/** The numbers from 0 to `count` - 1 in an order that depends only on `seed` (Fisher-Yates). */
export function permutation(count: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  const random = xoroshiro128plus(seed)
  for (let i = count - 1; i > 0; i--) {
    const j = uniformInt(random, 0, i)
    const kept = order[i]!
    order[i] = order[j]!
    order[j] = kept
  }
  return order
}
