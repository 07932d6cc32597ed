import { packageManifest } from '../util/package.js'
import type { CheckedOptions } from './options.js'
import type { Route } from './route.js'

export const json = (schema: object) => ({ 'application/json': { schema } })
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
export const response = (description: string, content?: object) => ({
  description,
  ...(content && { content }),
})
export const failures = (...statuses: number[]) =>
  Object.fromEntries(statuses.map(status => [status, response('An error', json(ref('Error')))]))
const binary = { type: 'string', format: 'binary' }
const fields = {
  topK: { type: 'integer', minimum: 1, default: 5, description: 'How many classes to return' },
  minScore: {
    type: 'number',
    minimum: 0,
    maximum: 1,
    default: 0,
    description: 'The lowest probability to return',
  },
  model: { type: 'string', description: 'Which model, if there are several' },
}

const name = { name: 'name', in: 'path', required: true, schema: { type: 'string' } }
const any = (description: string) => response(description, json({ type: 'object' }))

/** The paths of the Open Inference Protocol v2, which has its own description. */
const openInferencePaths = () => ({
  '/v2': { get: { operationId: 'serverMetadata', responses: { 200: any('The name and the extensions') } } },
  '/v2/models/{name}': {
    get: {
      operationId: 'modelMetadata',
      parameters: [name],
      responses: { 200: any('The tensors of a model') },
    },
  },
  '/v2/models/{name}/ready': {
    get: { operationId: 'modelReady', parameters: [name], responses: { 200: response('Yes') } },
  },
  '/v2/models/{name}/infer': {
    post: {
      operationId: 'infer',
      parameters: [name],
      requestBody: {
        required: true,
        content: { ...json({ type: 'object' }), 'application/octet-stream': { schema: binary } },
      },
      responses: { 200: any('The outputs') },
    },
  },
  '/v2/repository/index': { post: { operationId: 'repositoryIndex', responses: { 200: any('The models') } } },
  '/v2/repository/models/{name}/load': {
    post: { operationId: 'load', parameters: [name], responses: { 200: any('The file was reloaded') } },
  },
})

/** The paths of further routes, each of which has an `operation`. */
const pathsOf = (routes: readonly Route[]) =>
  Object.fromEntries(
    routes.map(({ method, path, access, operation }) => {
      const parameters = Array.from(path.matchAll(/:(\w+)/g), ([, name]) => ({
        name,
        in: 'path',
        required: true,
        schema: { type: 'string' },
      }))
      const details = {
        ...(parameters.length > 0 && { parameters }),
        ...(access === 'public' && { security: [] }),
      }
      return [path.replace(/:(\w+)/g, '{$1}'), { [method.toLowerCase()]: { ...operation, ...details } }]
    }),
  )

/** The description of a server in OpenAPI 3.1. */
export function openApi({ basePath, apiKeys, maxFiles }: CheckedOptions, further: readonly Route[]): object {
  const key = { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
  return {
    openapi: '3.1.0',
    info: {
      title: 'visiontorch',
      version: packageManifest().version,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: basePath === '' ? '/' : basePath }],
    ...(apiKeys.length > 0 && { security: [{ bearer: [] }] }),
    paths: {
      '/predict': {
        post: {
          operationId: 'predict',
          summary: 'The most probable classes of an image, or of several',
          parameters: Object.entries(fields).map(([name, { description, ...schema }]) => ({
            name,
            in: 'query',
            description,
            schema,
          })),
          requestBody: {
            required: true,
            content: {
              'image/*': { schema: binary },
              'application/octet-stream': { schema: binary },
              'multipart/form-data': {
                schema: {
                  type: 'object',
                  properties: { files: { type: 'array', maxItems: maxFiles, items: binary }, ...fields },
                },
              },
              ...json({
                type: 'object',
                properties: {
                  image: { type: 'string', contentEncoding: 'base64' },
                  images: {
                    type: 'array',
                    maxItems: maxFiles,
                    items: { type: 'string', contentEncoding: 'base64' },
                  },
                  ...fields,
                },
              }),
            },
          },
          responses: {
            200: response('The predictions', json({ anyOf: [ref('Predictions'), ref('Results')] })),
            ...failures(400, 401, 404, 413, 415, 422, 429, 500, 503),
          },
        },
      },
      '/models': {
        get: {
          operationId: 'models',
          summary: 'The models, their classes and their preprocessing',
          responses: { 200: response('The models', json({ type: 'object' })), ...failures(401) },
        },
      },
      '/metrics': {
        get: {
          operationId: 'metrics',
          summary: "Metrics in Prometheus' text format",
          responses: {
            200: response('The metrics', { 'text/plain': { schema: { type: 'string' } } }),
            ...failures(401),
          },
        },
      },
      ...Object.fromEntries(
        ['live', 'ready'].map(what => [
          `/v2/health/${what}`,
          {
            get: {
              operationId: what,
              security: [],
              responses: { 200: response('Yes'), 503: response('No') },
            },
          },
        ]),
      ),
      ...openInferencePaths(),
      ...pathsOf(further),
    },
    components: {
      ...(apiKeys.length > 0 && key),
      schemas: {
        Prediction: {
          type: 'object',
          required: ['label', 'index', 'score'],
          properties: { label: { type: 'string' }, index: { type: 'integer' }, score: { type: 'number' } },
        },
        Predictions: {
          type: 'object',
          required: ['model', 'version', 'predictions'],
          properties: {
            model: { type: 'string' },
            version: { type: 'integer' },
            predictions: { type: 'array', items: ref('Prediction') },
          },
        },
        Results: {
          type: 'object',
          required: ['model', 'version', 'results'],
          properties: {
            model: { type: 'string' },
            version: { type: 'integer' },
            results: {
              type: 'array',
              items: {
                type: 'object',
                properties: {
                  file: { type: 'string' },
                  predictions: { type: 'array', items: ref('Prediction') },
                  error: {
                    type: 'object',
                    properties: { code: { type: 'string' }, message: { type: 'string' } },
                  },
                },
              },
            },
          },
        },
        Error: {
          type: 'object',
          required: ['error'],
          properties: {
            error: {
              type: 'object',
              required: ['code', 'message', 'requestId'],
              properties: {
                code: { type: 'string' },
                message: { type: 'string' },
                requestId: { type: 'string' },
              },
            },
          },
        },
      },
    },
  }
}
