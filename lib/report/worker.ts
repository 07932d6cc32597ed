import { parentPort, Worker, workerData } from 'node:worker_threads'
import { type RenderedReport, type RenderInput, renderReport } from './render.js'

/** Runs {@link renderReport} in a separate thread, so that the event loop stays free. */
export function renderInWorker(input: RenderInput): Promise<RenderedReport> {
  // The thread gets code instead of a file, which Node refuses together with `--input-type`. When tsx runs the sources,
  // the code imports through tsx, because threads do not inherit it.
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

/** The code that runs in the thread. */
export async function answer(): Promise<void> {
  parentPort!.postMessage(await renderReport(workerData))
}
