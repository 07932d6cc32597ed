// Prints a digest of many resized images of noise, so that it reveals a wrong weight or an extra byte.
// test/parity/image-portable.test.ts runs it.
import { createHash } from 'node:crypto'
import { native } from '../../lib/native/native.js'
import { deriveSeed } from '../../lib/util/random.js'

const hash = createHash('sha256')
for (let i = 0; i < 300; i++) {
  const side = (word: number, max: number) => 1 + (deriveSeed(i, word) % max)
  const [width, height] = [side(0, 90), side(1, 90)]
  const size = [side(2, 120), side(3, 120)] as const
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, at) => deriveSeed(i, 4, at >> 2) >>> ((at & 3) * 8),
  )
  const { data: resized } = await native().transformPixels({ data, width, height, channels: 3 }, [
    {
      op: 'resize',
      from: [0, 0, width, height],
      size,
      crop: [0, 0, ...size],
      filter: i % 2 === 0 ? 'bilinear' : 'bicubic',
    },
  ])
  hash.update(resized)
}
console.log(JSON.stringify({ capability: native().runtimeInfo().cpuCapability, sha256: hash.digest('hex') }))
