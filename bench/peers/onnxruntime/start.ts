import { answer, job } from '../serve.js'
import { classify, openSession } from './session.js'

answer({ index: await classify(await openSession(), job.photo) })
