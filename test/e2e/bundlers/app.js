import { mobilenetV2, predict } from 'visiontorch'

async function main() {
  const model = await mobilenetV2({ classes: ['blue', 'red'], widthMult: 0.25, seed: 7 })
  const image = { data: new Uint8Array(32 * 32 * 3), width: 32, height: 32, channels: 3 }
  return predict(model, image)
}

main().then(
  predictions => console.log(JSON.stringify(predictions)),
  ({ code, message }) => console.log(JSON.stringify({ code, message })),
)
