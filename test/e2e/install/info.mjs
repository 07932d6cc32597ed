import { runtimeInfo } from 'visiontorch'

try {
  console.log(JSON.stringify(runtimeInfo()))
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }))
}
