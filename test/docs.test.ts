import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { command } from '../src/http/command.ts';
import * as crud from '../src/http/crud.ts';
import { exportAll } from '../src/http/export.ts';
import { linked } from '../src/http/linked.ts';
import * as lists from '../src/http/list.ts';
import * as parameters from '../src/http/own-parameters.ts';
import * as queries from '../src/http/query.ts';
import { type Route, route } from '../src/http/route.ts';
import { collections } from '../src/resources/api.ts';
import { User } from '../src/resources/users/user.ts';
import { decimal } from '../src/schema/decimal.ts';
import * as fields from '../src/schema/fields.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import { Book } from './sample/books/book.ts';
import { Post } from './sample/posts/post.ts';
import { publish } from './sample/posts/publish.ts';
import { aCaller } from './support/callers.ts';
import { stored } from './support/factories.ts';
import { useApi } from './support/harness.ts';
import { Loan } from './support/loans.ts';

/** The examples of docs/definitions.md: MongoDB takes the definitions, and the routes answer. */

const DAY = 24 * 60 * 60 * 1_000;
const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10);

/** What an example may name, beside what the examples before it define. */
const scope: Record<string, unknown> = {
  ...crud,
  ...lists,
  ...parameters,
  ...queries,
  ...fields,
  z,
  command,
  decimal,
  exportAll,
  linked,
  modelOf,
  resource,
  route,
  User,
  Book,
  Post,
  Loan,
  publish,
  listing: { filter: ['book'], sort: [] },
  example: { rating: 5 },
  book: Book.example.id,
  borrower: User.example.id,
  today: () => dayOf(Date.now()),
  daysAfter: (day: string, days: number) => dayOf(Date.parse(day) + days * DAY),
  daysBetween: (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / DAY,
};

/** The examples have no types: they run as they stand. */
const run = (code: string): any =>
  Reflect.construct(Function, [...Object.keys(scope), code])(...Object.values(scope));

const page = await readFile('docs/definitions.md', 'utf8');
const blocks = [...page.matchAll(/```ts\n(?!\/\/ src)(.*?)```/gs)].map(([, code]) => code as string);
const whole = blocks.filter((code) => code.startsWith('export const '));
const parts = blocks.filter((code) => /^\w+: /.test(code));
const listed = blocks.filter((code) => !whole.includes(code) && !parts.includes(code));
/** In the table of routes; one with … is explained further down. */
const inTable = [...page.matchAll(/^\| `([^`…]+)` +\| .* \| `\S+\.ts` +\|$/gm)].map(
  ([, code]) => code as string,
);

/** A loan with whatever the parts name. */
const { id, ...example } = Loan.example;
const base = {
  fields: {
    ...Loan.fields,
    state: z.enum(['lent', 'late', 'back']),
    digest: fields.text(0, 100),
    expiresAt: fields.instant(),
  },
  defaults: { ...Loan.defaults, state: 'lent', digest: '', expiresAt: () => new Date() },
  indexes: [
    { key: { book: 1, _id: 1 } },
    { key: { borrower: 1, _id: 1 } },
    { key: { 'notes.author': 1, _id: 1 } },
  ],
};
const definedBy = (code: string, i: number): AnyResource => {
  const { indexes = [], ...given } = run(`return { ${code} }`);
  const keys = new Map([...base.indexes, ...indexes].map((index) => [JSON.stringify(index), index]));
  return resource(`Part${i}`, {
    collection: `parts${i}`,
    description: 'What an example defines',
    ...base,
    ...given,
    defaults: { ...base.defaults, ...given.defaults },
    indexes: [...keys.values()],
    example: { id, ...example, state: 'back', expiresAt: '2026-02-28T12:00:00Z' },
  } as never) as AnyResource;
};

/** A file of the folder `reviews`, without what only a module or the compiler needs. */
const fileOf = (name: string): string => {
  const file = new RegExp(`^// src/resources/reviews/${name}\\n(.*?)(?=^// src|^\`\`\`)`, 'ms').exec(page);
  return String(file?.[1]).replaceAll(/^import .*$|^export (?=const)|: Route\[\]| as const/gm, '');
};
const Review: AnyResource = (scope['Review'] = run(`{ ${fileOf('review.ts')} return Review; }`));

const defined = whole.map((code): AnyResource => {
  const [, name = ''] = /^export const (\w+)/.exec(code) ?? [];
  return (scope[name] = run(`${code.replace('export ', '')}; return ${name};`));
});
const resources = connect([...collections, Loan, Review, ...defined, ...parts.map(definedBy)]);
const routes: Route[] = [
  ...run(`{ ${fileOf('routes.ts')} return routes(); }`),
  ...[...inTable.filter((code) => !code.includes('batch')), ...listed].flatMap((code) =>
    run(`return [ ${code} ];`),
  ),
];
const api = useApi({
  resources,
  routes: [...new Map(routes.map((one) => [`${one.method} ${one.path}`, one])).values()],
});

test('all of them are found', () => {
  expect([whole.length, parts.length, listed.length, inTable.length]).toEqual([2, 6, 4, 11]);
});

test.each([Review, ...defined, ...resources.filter(({ name }) => name.startsWith('Part'))])(
  'MongoDB stores a document of $name',
  async (one) => {
    const { _id } = await stored(one);
    expect(await modelOf(one).collection.findOne({ _id })).toMatchObject({ _id });
  },
);

test.each(routes.filter(({ method, path }) => method === 'get' && !path.includes('{')))(
  'GET $path answers an admin',
  async ({ path }) => {
    const { token } = await aCaller('admin');
    expect((await api.get(path, { as: token })).status).toBe(200);
  },
);

test('each route is described', async () => {
  const { paths } = (await (await fetch(`${api.url()}/openapi.json`)).json()) as any;
  for (const { method, path } of routes)
    expect([path, Object.keys(paths[path] ?? {})]).toEqual([path, expect.arrayContaining([method])]);
});
