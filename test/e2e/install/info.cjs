const { runtimeInfo } = require('visiontorch')

console.log(JSON.stringify(runtimeInfo()))
