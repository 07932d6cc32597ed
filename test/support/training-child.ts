// A process of its own, as the kernels are chosen once: prints what failed of the training cases, by title.
import { checkTraining, trainingCases } from './training-cases.js'

const failed: Record<string, string> = {}
for (const name of trainingCases) {
  await checkTraining(name).catch((error: Error) => {
    failed[name] = error.message
  })
}
process.stdout.write(JSON.stringify(failed))
