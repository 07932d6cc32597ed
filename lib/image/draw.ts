import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'
import { deriveSeed } from '../util/random.js'

/** Random parameters of one image or one batch: the same ones for the same integers, whenever they are drawn. */
export class Draw {
  private readonly generator

  constructor(...seeds: number[]) {
    this.generator = xoroshiro128plusFromState([0, 1, 2, 3].map(word => deriveSeed(...seeds, word) | 0))
  }

  /** From `min` up to, not including, `max`. */
  uniform(min: number, max: number): number {
    return min + (max - min) * uniformFloat64(this.generator)
  }

  /** An integer from 0 to `count` - 1. */
  index(count: number): number {
    return uniformInt(this.generator, 0, count - 1)
  }

  chance(probability: number): boolean {
    return uniformFloat64(this.generator) < probability
  }

  shuffle<T>(items: readonly T[]): T[] {
    const rest = [...items]
    return items.map(() => rest.splice(this.index(rest.length), 1)[0]!)
  }

  choice<T>(choices: readonly T[]): T {
    return choices[this.index(choices.length)]!
  }
}
