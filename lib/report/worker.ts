import { parentPort, Worker, workerData } from 'node:worker_threads'
import { type RenderedReport, type RenderInput, renderReport } from './render.js'

/** {@link renderReport} in a thread of its own, so that the event loop stays free. */
export function renderInWorker(input: RenderInput): Promise<RenderedReport> {
  // Code and not a file, which Node refuses beside `--input-type`. tsx, which runs the sources, does not reach into
  // threads by itself.
  const { url } = import.meta
  const load = url.endsWith('.ts')
    ? `import('tsx/esm/api').then(tsx => tsx.tsImport('${url}', '${url}'))`
    : `import('${url}')`
  const worker = new Worker(`${load}.then(({ answer }) => answer())`, { eval: true, workerData: input })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', code =>
      reject(new Error(`the thread that renders the report ended with code ${code}`)),
    )
  })
}

/** The thread's part. */
export async function answer(): Promise<void> {
  parentPort!.postMessage(await renderReport(workerData))
}
