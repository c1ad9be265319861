import { OpenAPIRegistry, OpenApiGeneratorV31, type ResponseConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { Problem, type ProblemCode, problems } from '../errors.ts';
import { JSON_TYPE } from './endpoint.ts';
import { PROBLEM_TYPE } from './middleware.ts';
import { problemsOf, type Route } from './route.ts';

export interface Tag {
  name: string;
  description: string;
}

const fault = z
  .strictObject({
    in: z.enum(['body', 'query', 'header']),
    pointer: z.string().optional().describe('In a body: a JSON Pointer (RFC 6901)'),
    parameter: z.string().optional().describe('Elsewhere: the name of the parameter or header'),
    code: z.string(),
    message: z.string(),
  })
  .meta({ id: 'Fault', description: 'One thing that is wrong with the input, and where' });

const problem = z
  .strictObject({
    type: z.string().meta({ format: 'uri-reference' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().meta({ format: 'uri-reference' }),
    code: z.enum(Object.keys(problems) as [ProblemCode]),
    requestId: z.string().describe('Finds the request in the log'),
    errors: z.array(fault).optional(),
  })
  .meta({ id: 'Problem', description: 'Why a request was refused (RFC 9457)' });

/** The OpenAPI document of these routes; a route can answer with nothing that does not stand in it. */
export function openapi(routes: Route[], tags: Tag[]) {
  const registry = new OpenAPIRegistry();
  for (const route of routes) registry.registerPath(operation(route));
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Shelfmark',
      version: packageJson.version,
      description: packageJson.description,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'This server' }],
    security: [],
    tags,
  });
}

const operation = (route: Route) => ({
  method: route.method,
  path: route.path,
  operationId: route.operationId,
  tags: [route.tag],
  summary: route.summary,
  description: route.description,
  request: {
    params: route.params,
    query: route.query,
    ...(route.body && {
      body: {
        required: true,
        content: Object.fromEntries(
          (route.body.types ?? [JSON_TYPE]).map((type) => [
            type,
            { schema: route.body?.schema, example: route.body?.example },
          ]),
        ),
      },
    }),
  },
  responses: {
    [route.answer.status]: success(route),
    ...refusals(route),
  },
});

const success = ({ answer }: Route): ResponseConfig => ({
  description: answer.description,
  ...(answer.headers && {
    headers: Object.fromEntries(
      Object.entries(answer.headers).map(([name, { description, example }]) => [
        name,
        { description, schema: { type: 'string' as const }, example },
      ]),
    ),
  }),
  ...(answer.schema && { content: { [JSON_TYPE]: { schema: answer.schema, example: answer.example } } }),
});

/** The refusals of a route, one response per status with an example of each problem. */
function refusals(route: Route): Record<string, ResponseConfig> {
  const all = problemsOf(route);
  const responses = [...new Set(all.map((code) => problems[code].status))].map((status) => {
    const codes = all.filter((code) => problems[code].status === status);
    const examples = Object.fromEntries(codes.map((code) => [code, { value: example(route, code) }]));
    const description = codes.map((code) => problems[code].title).join('. ');
    return [status, { description, content: { [PROBLEM_TYPE]: { schema: problem, examples } } }];
  });
  return Object.fromEntries(responses);
}

const example = (route: Route, code: ProblemCode) => {
  const { errors, ...document } = new Problem(code, `${problems[code].title}.`).toDocument(
    route.path.replace('{id}', '65f000000000000000000b01'),
    'b4c8e7a2-5a0f-4a63-9a0e-6a3b6a1c2d3e',
  );
  return document;
};
