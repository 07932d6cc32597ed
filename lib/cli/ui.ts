import { once } from 'node:events'
import { Command } from 'commander'
import type { Columns } from '../data/columns.js'
import { openDataset } from '../data/open.js'
import { type Device, setThreads } from '../native/runtime.js'
import { ServedModels } from '../serve/models.js'
import { RunningServer } from '../serve/server.js'
import { createService } from '../serve/service.js'
import { trainingRoutes } from '../ui/routes.js'
import { Trainer } from '../ui/trainer.js'
import { type AddressOptions, addressOptions, noteOpenPort } from './address.js'
import { interruptSignal, noteSaved } from './interrupt.js'
import { weightsDirOption } from './model.js'
import { addSourceArgument, classesOption, deviceOption, requiredDataOf, threadsOption } from './options.js'
import { note, warn } from './terminal.js'

interface UiCommandOptions extends AddressOptions {
  data?: string
  classes?: string
  columns?: Columns
  weightsDir?: string
  device: string
  threads?: number
}

/** How long requests may take to finish after Ctrl-C. */
const GRACE_MILLISECONDS = 2000

export function uiCommand(): Command {
  const command = addSourceArgument(
    new Command('ui').description(
      'serve a web page to train on a data set, watch the run, and try the model',
    ),
    'a folder of images with a folder for each class, or an annotation file',
  ).addOption(classesOption())
  for (const option of addressOptions()) command.addOption(option)
  return command
    .addOption(weightsDirOption())
    .addOption(deviceOption())
    .addOption(threadsOption())
    .action(runUi)
}

async function runUi(argument: string | undefined, options: UiCommandOptions): Promise<void> {
  const data = requiredDataOf(argument, options)
  const { classes, columns, host, port, apiKey, weightsDir, threads } = options
  if (threads !== undefined) setThreads(threads)
  const signal = interruptSignal('stopping and saving the run; press Ctrl-C again to kill')
  const dataset = await openDataset(data, { classes, columns, signal })
  for (const message of dataset.warnings) warn(message)
  const logger = {
    info() {},
    warn: (_: object, message: string) => warn(message),
    error: ({ err }: { err?: Error }, message: string) => warn(`${message}: ${err?.message ?? ''}`),
  }
  const service = createService(new ServedModels({}), { apiKey: apiKey?.split(',') ?? [], logger })
  const trainer = new Trainer(dataset, service, { device: options.device as Device, weightsDir })
  service.trainingRoutes = trainingRoutes(trainer, dataset, service)
  const server = await RunningServer.start(service, { host, port, allowedHosts: options.allowedHost ?? [] })
  note(`open ${server.url} in a browser; Ctrl-C ends it`)
  noteOpenPort(options)
  if (!signal.aborted) await once(signal, 'abort')
  const saved = await trainer.close()
  if (saved !== null) noteSaved(saved)
  await server.drain(GRACE_MILLISECONDS)
}
