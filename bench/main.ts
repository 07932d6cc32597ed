// Compares peers side by side: npm run bench -- --help
import { availableParallelism } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import { integer, list } from '../lib/cli/options.js'
import { type Architecture, listArchitectures } from '../lib/model/architectures.js'
import { bootstrap } from './bootstrap.js'
import { save } from './result.js'
import { concurrent } from './works/concurrent.js'
import { decode } from './works/decode.js'
import { distributed } from './works/distributed.js'
import { epoch } from './works/epoch.js'
import { growth } from './works/growth.js'
import { idle } from './works/idle.js'
import { inference } from './works/inference.js'
import { limit } from './works/limit.js'
import { loading } from './works/loading.js'
import { networks, type Options } from './works/options.js'
import { serve } from './works/serve.js'
import { start } from './works/start.js'
import { training } from './works/training.js'

/** In this order: the works after `limit` are also shown as a share of it. */
const works = {
  limit: { run: limit, about: 'the best rate of arithmetic on this machine' },
  inference: {
    run: inference,
    about: 'batches of 1, 8 and 32, compared with PyTorch, ONNX Runtime and OpenVINO',
  },
  training: { run: training, about: 'SGD steps with batches of 16 and 32, compared with PyTorch' },
  epoch: { run: epoch, about: 'two epochs from JPEG files, compared with torchvision' },
  start: { run: start, about: 'from the start of a process to its first prediction' },
  loading: { run: loading, about: 'the .pth file of VGG16: time and memory' },
  decode: { run: decode, about: 'JPEG to input on one thread, compared with Pillow and torchvision' },
  concurrent: { run: concurrent, about: '64 concurrent calls, compared with one call with 64 images' },
  idle: { run: idle, about: 'processor time of an idle process' },
  serve: {
    run: serve,
    about: 'requests/s over HTTP, compared with predict(), FastAPI, LitServe and ONNX Runtime',
  },
  distributed: {
    run: distributed,
    about: "two processes that share their steps, compared with PyTorch's DistributedDataParallel",
  },
  growth: { run: growth, about: 'inference by batch size, threads and image size' },
}
type WorkName = keyof typeof works
const names = Object.keys(works) as WorkName[]

const program = new Command('bench')
  .argument('[work...]', 'what to measure (default: all)')
  .option(
    '--network <names>',
    `networks (default: ${networks}; fewer in training, epoch and idle)`,
    list(oneOf(listArchitectures())),
  )
  .option('--batch <sizes>', 'images per batch, in inference, training and epoch', list(integer(1, 64)))
  .option(
    '--connections <counts>',
    'connections at a time, in serve (default: 1,8,64)',
    list(integer(1, 1024)),
  )
  .addOption(
    new Option('--dtype <names>', 'float32, bfloat16, int8 (only in inference)')
      .argParser(list(oneOf(['float32', 'bfloat16', 'int8'])))
      .default(['float32', 'bfloat16']),
  )
  .option('--rounds <n>', 'rounds, in each of which every peer has a turn', integer(1, 100), 5)
  .option('--threads <n>', 'threads of every peer', integer(1, 256), availableParallelism())
  .addOption(
    new Option('--device <device>', 'in inference and training: cpu, or cuda for the first GPU')
      .choices(['cpu', 'cuda'])
      .default('cpu'),
  )
  .option('--images <n>', 'images of an epoch', integer(1), 256)
  .option('--compile', 'also torch.compile, for inference with freezing (slow to start; needs g++)', false)
  .option(
    '--tfjs',
    'also TensorFlow.js in float32: tfjs-node or, if it cannot be installed, WebAssembly (slow)',
    false,
  )
  .addHelpText(
    'after',
    `\nWorks:\n${names.map(name => `  ${name.padEnd(12)}${works[name].about}`).join('\n')}`,
  )
  .parse()
const options = program.opts<Options>()
const unknown = program.args.filter(name => !names.includes(name as WorkName))
if (unknown.length > 0) program.error(`error: unknown work ${unknown.join(', ')}: see --help`)
const chosen = names.filter(name => program.args.length === 0 || program.args.includes(name))

const needed = new Set<Architecture>(options.network ?? networks)
if (chosen.includes('loading')) needed.add('vgg16')
if (chosen.includes('start')) needed.add('resnet50')
await bootstrap([...needed], {
  ...options,
  servers: chosen.includes('serve'),
  quantized: options.dtype.includes('int8'),
})
try {
  for (const name of chosen) {
    // Models in 8 bits only predict.
    const dtype = options.dtype.filter(type => type !== 'int8' || name === 'inference')
    await works[name].run({ ...options, dtype })
  }
} finally {
  save(options)
}

function oneOf(choices: readonly string[]): (text: string) => string {
  return text => {
    if (choices.includes(text)) return text
    throw new InvalidArgumentError(`Expected one of ${choices.join(', ')}.`)
  }
}
