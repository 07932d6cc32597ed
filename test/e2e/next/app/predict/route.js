import { mobilenetV2, predict } from 'visiontorch'

export const dynamic = 'force-dynamic'

export async function GET() {
  const model = await mobilenetV2({ classes: ['blue', 'red'], widthMult: 0.25, seed: 7 })
  const image = { data: new Uint8Array(32 * 32 * 3), width: 32, height: 32, channels: 3 }
  return Response.json(await predict(model, image))
}
