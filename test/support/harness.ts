import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import mongoose from 'mongoose';
import { pino } from 'pino';
import { createApp } from '../../src/app.ts';
import { drain, httpServer, TIMES } from '../../src/http/server.ts';
import { database } from '../../src/mongo/connect.ts';
import { collections, resources, routes } from '../../src/resources/api.ts';
import { anAddress, from } from './addresses.ts';
import { admin, CREDENTIALS, letIn } from './callers.ts';
import { modelOf } from '../../src/schema/model.ts';
import { renewDatabase } from './database.ts';
import { BUILD } from './process.ts';

/** One HTTP answer; `body` is the parsed JSON, or undefined where there is none. */
export interface Answer {
  status: number;
  headers: Headers;
  body: any;
}

interface Request {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  raw?: string | Uint8Array | ReadableStream;
  headers?: Record<string, string>;
  /** The token of the caller; that of the admin unless told, and with '' none. */
  as?: string;
}

/** The replica set of this test run. */
export const mongoUri = process.env['TEST_MONGODB_URI'] as string;
/** Each jest worker has a database to itself for each of the two programs that are tested: see build.mjs. */
export const dbName = `test_${basename(BUILD.pathname)}_${process.env['JEST_WORKER_ID']}`;

type Settings = Parameters<typeof createApp>[0];

/** How long a server is patient, in a fifth of the time. */
export const SHORT_TIMES = Object.fromEntries(
  Object.entries(TIMES).map(([name, time]) => [name, time / 5]),
) as typeof TIMES;

/** Servers that still run: a failed test may have left its own. */
const running = new Set<Server>();

/** The application on a free port of this machine. No test meets the limit of requests by accident. */
export async function serve(
  { logger = pino({ level: 'silent' }), ...own }: Partial<Settings>,
  times?: typeof TIMES,
) {
  const app = createApp({ resources, routes, rateLimit: 1_000_000, ...own, logger });
  const server = httpServer(app, logger, times);
  // One that a failed test leaves open must not keep the run from ending.
  server.unref();
  running.add(server);
  server.once('close', () => running.delete(server));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/**
 * The OpenAPI document of the routes that the program has, made once for the whole run. That the application
 * publishes the same is for openapi.test.ts to see.
 */
export const standardDocument = async (): Promise<any> =>
  JSON.parse(await readFile(new URL('openapi.json', BUILD), 'utf8'));

/** A document with the parameters and responses that operations share in each of their places. */
export const inPlace = (document: any): any =>
  JSON.parse(JSON.stringify(document), (_, value) => {
    const [, kind, name] = /^#\/components\/(parameters|responses)\/(.*)$/.exec(value?.$ref) ?? [];
    const found = kind && name ? document.components[kind][name] : value;
    const [, schema] = (found?.in && /^#\/components\/schemas\/(.*)$/.exec(found.schema?.$ref)) || [];
    return schema ? { ...found, schema: document.components.schemas[schema] } : found;
  });

/**
 * How the shipped resources refer to each other. A file may connect resources of its own to them, and the files of a
 * worker share their modules, so each leaves them as it has found them.
 */
const connections = collections.map(({ references, referrers }) => ({ references, referrers }));

/** Its validators are compiled when they are first needed; the files of a worker share them. */
let standardContract: Contract | undefined;

/**
 * The application over real HTTP on a real replica set. Every answer is checked against the OpenAPI document
 * that the application itself publishes: a status, a header or a field that does not stand there fails the test.
 * A test may bring resources, routes and settings of its own, and options of the connection.
 */
export function useApi(
  own: Partial<Settings> = {},
  connection: mongoose.ConnectOptions = {},
  times: typeof TIMES = TIMES,
) {
  const api = { resources, routes, ...own };
  let base: string;
  let contract: Contract;
  // Requests are counted by process, and files share one.
  const address = own.trustProxy ? from(anAddress()) : {};

  beforeAll(async () => {
    await mongoose.connect(mongoUri, { dbName, bufferCommands: false, ...connection });
    await renewDatabase(database(), api.resources);
    ({ url: base } = await serve(api, times));
    await letIn(database());
    const isStandard = api.resources === resources && api.routes === routes;
    contract = isStandard
      ? (standardContract ??= readContract(inPlace(await standardDocument())))
      : readContract(inPlace(await (await fetch(`${base}/openapi.json`)).json()));
  });
  beforeEach(() =>
    Promise.all(
      api.resources.map((resource) => modelOf(resource).collection.deleteMany({ _id: { $ne: admin._id } })),
    ),
  );
  afterAll(async () => {
    for (const [i, resource] of collections.entries()) Object.assign(resource, connections[i]);
    try {
      await Promise.all([...running].map((server) => drain(server)));
    } finally {
      await mongoose.disconnect();
    }
  });

  async function call(
    method: string,
    path: string,
    { body, raw, headers, as }: Request = {},
  ): Promise<Answer> {
    const response = await fetch(base + path, {
      method,
      headers: {
        ...address,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...credentials(as),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(raw !== undefined && { body: raw, duplex: 'half' }),
    } as RequestInit);
    const text = await response.text();
    const type = response.headers.get('content-type') ?? '';
    const answer: Answer = {
      status: response.status,
      headers: response.headers,
      body:
        // An export of nothing is a text, too.
        text === '' && !/csv|ndjson/.test(type)
          ? undefined
          : /[/+]json(;|$)/.test(type)
            ? JSON.parse(text)
            : text,
    };
    contract.check(method, path, answer);
    return answer;
  }

  return {
    call,
    url: () => base,
    get: (path: string, request?: Request) => call('GET', path, request),
    post: (path: string, body?: unknown, request?: Request) => call('POST', path, { body, ...request }),
    put: (path: string, body?: unknown, request?: Request) => call('PUT', path, { body, ...request }),
    patch: (path: string, body?: unknown, request?: Request) => call('PATCH', path, { body, ...request }),
    delete: (path: string, request?: Request) => call('DELETE', path, request),
  };
}

const credentials = (token?: string): Record<string, string> =>
  token === '' ? {} : { authorization: token === undefined ? CREDENTIALS : `Bearer ${token}` };

interface Contract {
  check(method: string, path: string, answer: Answer): void;
}

function readContract(document: any): Contract {
  // Most validators see few documents: making them quickly counts. openapi.test.ts looks at the schemas themselves.
  const quick = { inlineRefs: false, validateSchema: false, code: { optimize: false } };
  const ajv = new Ajv2020({ strict: false, allErrors: true, ...quick });
  formats.default(ajv);
  const exact = withoutOthers(document);
  ajv.addSchema(exact, 'openapi');
  ajv.addSchema(partly(exact), 'partial');
  const validators = new Map<string, ValidateFunction>();
  const validator = (ref: string, of: 'openapi' | 'partial' = 'openapi'): ValidateFunction => {
    const id = `${of}#${ref}`;
    const known = validators.get(id) ?? ajv.compile({ $ref: id });
    validators.set(id, known);
    return known;
  };
  // As the router does: /books/groups is not a book.
  const paths = Object.keys(document.paths)
    .toSorted((a, b) => a.split('{').length - b.split('{').length)
    .map((path) => ({ path, matches: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`) }));

  const follow = (header: { $ref?: string; required?: boolean }) =>
    header.$ref ? document.components.headers[header.$ref.split('/').at(-1) as string] : header;

  return {
    check(method, path, { status, headers, body }) {
      const [pathname = ''] = path.split('?');
      const type = headers.get('content-type')?.split(';')[0];
      const at = paths.find(({ matches }) => matches.test(pathname))?.path;
      const operation = method === 'HEAD' ? 'get' : method.toLowerCase();
      const declared = at ? document.paths[at][operation]?.responses : undefined;
      const where = `${method} ${path} → ${status}`;
      if (!declared) {
        // No such route or method: the answer can only be a problem, unless it says which methods there are.
        if (method === 'OPTIONS') return;
        expect([where, type]).toEqual([where, 'application/problem+json']);
        expectValid(validator('/components/schemas/Problem'), body, where);
        return;
      }
      const response = declared[status] ?? (status >= 400 ? declared.default : undefined);
      if (!response) throw new Error(`${where}: the status is not declared`);
      for (const [name, header] of Object.entries<any>(response.headers ?? {}))
        if (follow(header).required && !headers.has(name))
          throw new Error(`${where}: the header ${name} is missing`);
      // Said once for all operations.
      if (status < 400 && !pathname.startsWith('/health/') && !headers.has('ratelimit'))
        throw new Error(`${where}: the header RateLimit is missing`);
      if (method === 'HEAD') return;
      if (!response.content || headers.get('preference-applied') === 'return=minimal') {
        expect([where, body]).toEqual([where, undefined]);
        return;
      }
      const content = response.content[type as string];
      if (!content) throw new Error(`${where}: the media type ${type} is not declared`);
      const said = status in declared ? String(status) : 'default';
      const pointer = [at as string, operation, 'responses', said, 'content', type as string];
      const ref = content.schema.$ref?.slice(1) ?? `/paths/${pointer.map(escape).join('/')}/schema`;
      // Where a client chose the fields, a document may lack others; it has its id all the same.
      expectValid(validator(ref, /[?&]fields=/.test(path) ? 'partial' : 'openapi'), body, where);
      const code = body.code ?? body.error;
      if (status >= 400 && !response.description.includes(`\`${code}\``))
        throw new Error(`${where}: the code ${code} is not declared`);
    },
  };
}

/** The same schemas without members that they do not name: clients must take those of later versions, ours has none. */
function withoutOthers(schema: any): any {
  if (Array.isArray(schema)) return schema.map(withoutOthers);
  if (schema === null || typeof schema !== 'object') return schema;
  const parts = Object.entries(schema).map(([name, part]) => [name, withoutOthers(part)]);
  const isObject = schema.type === 'object' && schema.properties;
  return { ...(isObject && { additionalProperties: false }), ...Object.fromEntries(parts) };
}

/** The same schemas for documents of which only some members are shown, and of the objects in them. */
function partly(document: any): any {
  const shared = document.components.schemas;
  /** The names of those that documents refer to. */
  const inside = new Set<string>();
  const look = (schema: any, isInside: boolean): void => {
    if (schema === null || typeof schema !== 'object') return;
    const name = isInside && /^#\/components\/schemas\/(.*)$/.exec(schema.$ref)?.[1];
    if (name && !inside.has(name)) {
      inside.add(name);
      look(shared[name], true);
    }
    const isDocument = Array.isArray(schema.required) && schema.required.includes('id');
    for (const part of Object.values(schema)) look(part, isInside || isDocument);
  };
  look(shared, false);
  const schemas = Object.entries(shared).map(([name, one]) => [name, withoutRequired(one, inside.has(name))]);
  return {
    ...withoutRequired(document),
    components: { ...document.components, schemas: Object.fromEntries(schemas) },
  };
}

function withoutRequired(schema: any, isInside = false): any {
  if (Array.isArray(schema)) return schema.map((one) => withoutRequired(one, isInside));
  if (schema === null || typeof schema !== 'object') return schema;
  const { required, ...rest } = schema;
  const isDocument = Array.isArray(required) && required.includes('id');
  const parts = Object.entries(rest).map(([name, part]) => [
    name,
    withoutRequired(part, isInside || isDocument),
  ]);
  const kept = isDocument ? ['id'] : required;
  return {
    ...Object.fromEntries(parts),
    ...(kept !== undefined && (isDocument || !isInside) && { required: kept }),
  };
}

const escape = (part: string): string => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));

function expectValid(validate: ValidateFunction, body: unknown, where: string): void {
  if (!validate(body))
    throw new Error(`${where}: ${JSON.stringify(validate.errors)} in ${JSON.stringify(body)}`);
}
