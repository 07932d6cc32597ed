#!/usr/bin/env node
import { commandArguments } from './arguments.js'
import { run } from './program.js'

await run(commandArguments())
process.exit() // with process.exitCode; an open stdin, for example, must not keep the process alive
