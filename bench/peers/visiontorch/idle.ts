// Measures the processor time of a process that has nothing to do, after it has predicted and trained.
import { setTimeout } from 'node:timers/promises'
import { load, trainingStep } from '../network.js'
import { answer, job } from '../serve.js'

const model = await load()
await model.predict(job.photo)
const step = await trainingStep(model)
await step()
await model.predict(job.photo)
const before = process.cpuUsage()
await setTimeout(5000)
const { user, system } = process.cpuUsage(before)
answer({ time: (user + system) / 1000 })
