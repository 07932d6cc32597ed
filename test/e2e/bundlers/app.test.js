import { mobilenetV2, predict } from 'visiontorch'
import { expect, test } from 'vitest'

test('predicts', async () => {
  const model = await mobilenetV2({ classes: ['blue', 'red'], widthMult: 0.25, seed: 7 })
  const image = { data: new Uint8Array(32 * 32 * 3), width: 32, height: 32, channels: 3 }
  expect(await predict(model, image)).toHaveLength(2)
})
