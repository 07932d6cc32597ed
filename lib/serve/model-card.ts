import { inspectCheckpoint } from '../model/checkpoint.js'
import type { CheckpointValue } from '../native/native.js'
import { is } from '../util/is.js'
import type { Service } from './service.js'

/** The description of each model in GET /models. */
export function describeModels({ models, training }: Service): object[] {
  return models.names.map(name => {
    using lease = models.use(name)
    const { model, version } = lease
    return {
      name,
      version,
      since: models.since(name).toISOString(),
      architecture: model.architecture,
      parameters: model.parameterCount,
      device: model.device,
      dtype: model.dtype,
      preprocessing: model.preprocessing,
      classes: model.classes,
      training: training.get(name) ?? null,
    }
  })
}

/**
 * Reads what a checkpoint says about its training. It may contain anything, so only numbers are kept; null if there
 * are none.
 */
export async function readTraining(path: string): Promise<object | null> {
  const metadata: CheckpointValue = (await inspectCheckpoint(path)).metadata
  if (!(metadata instanceof Map) || !metadata.has('architecture')) return null
  const metrics = metadata.get('metrics')
  const figures = { epoch: metadata.get('epoch') } as Record<string, unknown>
  for (const name of ['top1', 'top5', 'validationLoss'])
    figures[name] = metrics instanceof Map ? metrics.get(name) : undefined
  const known = Object.entries(figures).filter(([, value]) => is.number(value))
  return known.length > 0 ? Object.fromEntries(known) : null
}
