#!/usr/bin/env node
import { commandArguments } from './arguments.js'
import { run } from './program.js'

// A reader that has seen enough (`| head`) closes the pipe: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

await run(commandArguments())
process.exit() // with process.exitCode; what is still open, such as a stdin that was waited for, must not hold it up
