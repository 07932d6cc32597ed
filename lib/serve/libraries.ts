// The libraries of the server. They are bundled into dist/serve/libraries.js (scripts/bundle.ts), so that installing
// visiontorch stays small, and this file is imported only when a server starts.
export { getRequestListener } from '@hono/node-server'
export { MaxPartsExceededError, parseMultipart } from '@remix-run/multipart-parser'
export { Hono } from 'hono/tiny'
export { pino } from 'pino'
export { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
