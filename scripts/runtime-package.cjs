const { join } = require('node:path')

exports.directory = __dirname
// Named explicitly so that file tracers, such as that of Next.js, copy them.
exports.files = [join(__dirname, 'lib'), join(__dirname, 'licenses'), join(__dirname, 'build-version')]
