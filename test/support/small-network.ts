import { type CreateModelOptions, createModel, type Model, runtimeInfo, setThreads } from '../../lib/index.js'

/** A MobileNetV2 with 64,000 parameters for images of 32 pixels in three classes. */
export function smallNetwork(options: CreateModelOptions = {}): Promise<Model> {
  const invertedResidualSetting = [
    [1, 16, 1, 1],
    [6, 24, 1, 2],
    [6, 32, 1, 2],
  ]
  return createModel('mobilenet_v2', {
    classes: ['checks', 'columns', 'rows'],
    seed: 1,
    invertedResidualSetting,
    ...options,
  })
}

/** Runs the tests of a suite on one thread, which is fastest for such a small network. */
export function onOneThread(): void {
  let threads: number
  before(() => {
    threads = runtimeInfo().threads
    setThreads(1)
  })
  after(() => setThreads(threads))
}
