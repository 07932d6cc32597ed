import { hasTensorFlow } from '../bootstrap.js'
import { sideBySide, toleranceOf } from '../measure.js'
import type { PeerName } from '../peer.js'
import { show } from '../result.js'
import { networks, type Options, onDevice } from './options.js'

export async function inference(options: Options): Promise<void> {
  const { network = networks, batch, dtype, rounds, threads, device } = options
  for (const name of network)
    for (const images of batch ?? [1, 8, 32])
      for (const type of dtype) {
        const task = {
          work: 'inference',
          network: name,
          batch: images,
          dtype: type,
          threads,
          device,
        } as const
        const title = `inference ${name}, batch ${images}, ${type}${onDevice(device)}`
        const tolerance = toleranceOf(type, device)
        show(await sideBySide(title, peersOf(type, options), task, { rounds, images, tolerance }))
      }
}

function peersOf(dtype: Options['dtype'][number], { compile, tfjs, device }: Options): PeerName[] {
  if (dtype === 'int8')
    return ['visiontorch', 'in float32', 'onnxruntime', 'onnxruntime static', 'openvino', 'openvino static']
  const peers: PeerName[] = ['visiontorch', 'stock', 'tuned']
  if (compile) peers.push('compile')
  if (device === 'cuda') return peers
  peers.push('huge pages', 'openvino')
  // ONNX Runtime has no CPU kernels for bfloat16.
  if (dtype === 'float32') peers.push('onnxruntime')
  if (dtype === 'float32' && tfjs) peers.push(hasTensorFlow('node') ? 'tfjs-node' : 'tfjs-wasm')
  return peers
}
