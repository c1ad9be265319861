import formats from 'ajv-formats';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import mongoose, { Types } from 'mongoose';
import { useMailer } from '../../src/auth/mail.ts';
import { pino } from 'pino';
import { allRoutes, createApp, describeApi } from '../../src/app.ts';
import { problems } from '../../src/errors.ts';
import { collections, resources, routes, seeds } from '../../src/resources/api.ts';
import { demoAccounts } from '../../src/resources/users/demo.ts';
import type { Access } from '../../src/schema/policy.ts';
import { seed } from '../../src/seed.ts';
import { letIn, tokenOf } from '../support/callers.ts';
import { inPlace, standardDocument, useApi } from '../support/harness.ts';
import { modelOf } from '../../src/schema/model.ts';

const api = useApi();
const DEMO_ADMIN = demoAccounts.find(({ role }) => role === 'admin')?.id as string;

// As the application publishes it: only what survives JSON.
const document: any = JSON.parse(JSON.stringify(describeApi({ resources, routes })));

const policies = new Map(
  allRoutes({ resources, routes }).map(({ operationId, policy }) => [operationId, policy]),
);

/** Those that answer as OAuth has it. */
const OAUTH = ['createToken', 'revokeToken'];

interface Operation {
  name: string;
  method: string;
  path: string;
  operation: any;
}
const operations: Operation[] = Object.entries<object>(inPlace(document).paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    method: method.toUpperCase(),
    path,
    operation,
  })),
);

/** A value of the document, with its references followed. */
const follow = (value: any): any =>
  value?.$ref
    ? follow(
        value.$ref
          .slice(2)
          .split('/')
          .reduce((at: any, part: string) => at[part], document),
      )
    : value;

const ajv = new Ajv2020({ strict: false, allErrors: true, inlineRefs: false, code: { optimize: false } });
formats.default(ajv);
ajv.addSchema(document, 'openapi');
const validators = new Map<string, ValidateFunction>();
function expectValid(schema: any, value: unknown, where: string): void {
  const absolute = JSON.stringify(schema).replaceAll('"#/', '"openapi#/');
  const validate = validators.get(absolute) ?? ajv.compile(JSON.parse(absolute));
  validators.set(absolute, validate);
  validate(value);
  expect([where, validate.errors]).toEqual([where, null]);
}

// As in a set-up that sends mail; nobody reads it here.
beforeAll(() => useMailer(async () => {}));
afterAll(() => useMailer(undefined));

test('the published document is the described one', async () => {
  const response = await fetch(`${api.url()}/openapi.json`);
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  expect(await response.json()).toEqual(document);
  // What the answers of all tests are checked against.
  expect(await standardDocument()).toEqual(document);
  expect(document.openapi).toMatch(/^3\.1/);
});

test('the operations of the document are the routes of the application, both ways', () => {
  const { router } = createApp({
    resources,
    routes,
    logger: pino({ level: 'silent' }),
    rateLimit: 1,
  }).middleware.find((middleware) => 'router' in middleware) as unknown as {
    router: { stack: { methods: string[]; path: string }[] };
  };
  const served = router.stack.flatMap(({ methods, path }) =>
    methods
      .filter((method) => method !== 'HEAD')
      .map((method) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`),
  );
  expect(new Set(served).size).toBe(served.length);
  const apart = served.filter((route) => /^GET \/(openapi\.json|docs.*|account)$/.test(route));
  expect(served.filter((route) => !apart.includes(route)).toSorted()).toEqual(
    operations.map(({ name }) => name).toSorted(),
  );
});

test('every operation has an id of its own', () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(operations.length);
  for (const id of ids) expect(id).toMatch(/^[a-z]+([A-Z][a-z]*)*$/);
});

test('every tag of an operation is declared and described', () => {
  const used = new Set(operations.flatMap(({ operation }) => operation.tags as string[]));
  expect(new Set(document.tags.map(({ name }: any) => name))).toEqual(used);
  expect(document.tags.filter(({ description }: any) => !description)).toEqual([]);
});

test('every operation has a summary, a description, one tag, and parameters that are described', () => {
  // What their operators mean stands at the top.
  const filters = new Set(
    allRoutes({ resources, routes }).flatMap(({ lists }) => lists?.filters.map(({ parameter }) => parameter)),
  );
  for (const { name, path, operation } of operations) {
    const { summary, description, tags, parameters = [] } = operation;
    expect([name, summary]).toEqual([name, expect.stringMatching(/^\S.{2,60}[^.]$/)]);
    expect([name, description]).toEqual([name, expect.stringMatching(/\S{2,}[.]$/)]);
    expect([name, tags.length]).toEqual([name, 1]);
    const silent = parameters.filter((one: any) => !one.description && !filters.has(one.name));
    expect([name, silent]).toEqual([name, []]);
    const inPath = parameters.filter((parameter: any) => parameter.in === 'path');
    const named = path.matchAll(/\{(\w+)\}/g);
    expect(new Set(inPath.map((parameter: any) => parameter.name))).toEqual(
      new Set([...named].map(([, name]) => name)),
    );
  }
});

test('every path parameter has its example beside its schema, where tools look for it', () => {
  for (const { name, operation } of operations)
    for (const parameter of (operation.parameters ?? []).filter((one: any) => one.in === 'path'))
      expect([name, parameter.example]).toEqual([name, expect.any(String)]);
});

test('a patch is a merge patch for generators that take the first media type, and for those that take the last', () => {
  for (const { operation } of operations.filter(({ method }) => method === 'PATCH')) {
    const types = Object.keys(operation.requestBody.content);
    expect([types[0], types.at(-1)]).toEqual(['application/json', 'application/merge-patch+json']);
  }
});

test('every operation has examples, and all of them fit their schemas', () => {
  for (const { name, operation } of operations) {
    for (const parameter of operation.parameters ?? []) {
      const { example, examples } = follow(parameter.schema);
      const given = [parameter.example ?? example, ...(examples ?? [])].filter(
        (value) => value !== undefined,
      );
      if (parameter.in === 'path') expect([name, given]).not.toEqual([name, []]);
      for (const value of given) expectValid(parameter.schema, value, `${name} ${parameter.name}`);
    }
    for (const { content } of [operation.requestBody, ...Object.values<any>(operation.responses)].filter(
      Boolean,
    ))
      for (const [type, { schema, example, examples }] of Object.entries<any>(content ?? {})) {
        const given = [example, ...Object.values(examples ?? {}).map((one) => follow(one).value)];
        const values = [...given, ...(follow(schema).examples ?? [])].filter((value) => value !== undefined);
        expect([name, type, values.length > 0 || isComposed(schema)]).toEqual([name, type, true]);
        for (const value of values) expectValid(schema, value, `${name} ${type}`);
      }
  }
});

/** A page has no example of its own: tools make one of those of its items. */
const isComposed = (schema: any): boolean => follow(schema).properties?.items !== undefined;

test('every operation declares one success (and one for who wants no document), and its refusals as problems with the codes of their status', () => {
  for (const { name, operation } of operations) {
    const statuses = Object.keys(operation.responses);
    const [, other] = statuses.filter((status) => status.startsWith('2'));
    expect([name, other === undefined || JSON.stringify(operation.parameters).includes('"Prefer"')]).toEqual([
      name,
      true,
    ]);
    for (const status of statuses.filter((status) => Number(status) >= 400)) {
      const { description, content, headers } = follow(operation.responses[status]);
      const isOAuth = status === '400' && OAUTH.includes(operation.operationId);
      const type = isOAuth ? 'application/json' : 'application/problem+json';
      expect([name, Object.keys(content)]).toEqual([name, [type]]);
      for (const [, code] of description.matchAll(/`(\w+)`/g))
        expect([name, code, problems[code as keyof typeof problems].status]).toEqual([
          name,
          code,
          Number(status),
        ]);
      for (const [code, example] of Object.entries<any>(content[type].examples ?? {})) {
        expect([name, description]).toEqual([name, expect.stringContaining(`\`${code}\``)]);
        expect(follow(example).value).toMatchObject(
          isOAuth ? { error: code } : { code, status: Number(status), type: `/problems/${code}` },
        );
      }
      if (status === '503' || status === '429') expect(headers).toHaveProperty('Retry-After');
    }
  }
});

async function freshlySeeded(): Promise<void> {
  for (const resource of collections) await modelOf(resource).deleteMany({});
  await seed(seeds, () => {});
  await letIn(mongoose.connection.db as mongoose.mongo.Db);
}

test.each(operations)(
  'the example of $name succeeds on a database that was just seeded, for the demo admin or without a login',
  async ({ method, path, operation }) => {
    await freshlySeeded();
    const { role, credentials } = policies.get(operation.operationId) as Access;
    const isOpen = credentials === 'body' || (method === 'GET' && role === 'anyone');
    const as = isOpen ? '' : await tokenOf(new Types.ObjectId(DEMO_ADMIN));
    const [type, body] = Object.entries<any>(operation.requestBody?.content ?? {})[0] ?? [];
    const target = path.replace(/\{(\w+)\}/g, (_, name: string) => {
      const parameter = operation.parameters.find((candidate: any) => candidate.name === name);
      return parameter.example ?? parameter.schema.example;
    });
    // Swagger UI fills the form with examples and defaults, and sends all of it.
    const query = (operation.parameters ?? []).flatMap(({ name, in: where, example, schema }: any) =>
      where === 'query' ? [example ?? follow(schema).default ?? []].flat().map((value) => [name, value]) : [],
    );
    const isForm = type === 'application/x-www-form-urlencoded';
    const given = body?.example ?? follow(body?.schema)?.examples[0];
    const { status, body: problem } = await api.call(
      method,
      `${target}?${String(new URLSearchParams(query))}`,
      {
        as,
        ...(type && {
          ...(isForm ? { raw: new URLSearchParams(given).toString() } : { body: given }),
          headers: { 'content-type': type },
        }),
      },
    );
    // A link of a mail is nobody's to guess: its example is told what to do.
    if (['resetPassword', 'verifyEmail'].includes(operation.operationId))
      return expect([status, problem.code]).toEqual([400, 'invalid_link']);
    expect([status, problem?.detail]).toEqual([
      Number(Object.keys(operation.responses).find((code) => code.startsWith('2'))),
      undefined,
    ]);
  },
);
