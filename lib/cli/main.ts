#!/usr/bin/env node
import { commandArguments } from './arguments.js'
import { run } from './program.js'

await run(commandArguments())
process.exit() // with process.exitCode; what is still open, such as a stdin that was waited for, must not hold it up
