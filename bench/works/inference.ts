import { hasTensorFlow } from '../bootstrap.js'
import { sideBySide, toleranceOf } from '../measure.js'
import type { PeerName } from '../peer.js'
import { show } from '../result.js'
import { networks, type Options } from './options.js'

export async function inference({
  network = networks,
  batch,
  dtype,
  compile,
  tfjs,
  rounds,
  threads,
}: Options): Promise<void> {
  for (const name of network)
    for (const images of batch ?? [1, 8, 32])
      for (const type of dtype) {
        const peers: PeerName[] = ['visiontorch', 'stock', 'tuned']
        if (compile) peers.push('compile')
        if (type === 'float32') peers.push('onnxruntime') // its CPU kernels know no bfloat16
        if (tfjs && type === 'float32') peers.push(hasTensorFlow('node') ? 'tfjs-node' : 'tfjs-wasm')
        const task = { work: 'inference', network: name, batch: images, dtype: type, threads } as const
        const title = `inference ${name}, batch ${images}, ${type}`
        show(await sideBySide(title, peers, task, { rounds, images, tolerance: toleranceOf(type) }))
      }
}
