// node process-ending.mjs FOLDER MILLISECONDS: exits with 3 while every task of the addon is running.
import { repeat, tasks } from './ending-tasks.mjs'

const [folder, milliseconds] = process.argv.slice(2)
const started = await Promise.all(Object.values(tasks).map(task => task(folder, 0)))
setTimeout(() => process.exit(3), Number(milliseconds))
await Promise.all(started.map(repeat))
