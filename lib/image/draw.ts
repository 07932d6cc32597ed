import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'
import { deriveSeed } from '../util/random.js'

/** Random parameters of one image or one batch. The same integers always give the same parameters. */
export class Draw {
  private readonly generator

  constructor(...seeds: number[]) {
    this.generator = xoroshiro128plusFromState([0, 1, 2, 3].map(word => deriveSeed(...seeds, word) | 0))
  }

  /** A number of at least `min`, below `max`. */
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
