import { describeApi } from '../src/app.ts';
import { problems } from '../src/errors.ts';
import { resources, routes } from '../src/resources/api.ts';
import { dbmlOf } from '../src/edges/model/dbml.ts';
import { layoutOf } from '../src/edges/model/layout.ts';
import { modelFor, type Relation } from '../src/edges/model/model.ts';
import { once } from '../src/http/openapi/components.ts';
import { drain } from '../src/http/server.ts';
import { inPlace, serve, useApi } from './support/harness.ts';

const api = useApi();

// As the application publishes it: only what survives JSON.
const document: any = JSON.parse(JSON.stringify(describeApi({ resources, routes })));
const operations = Object.values<object>(inPlace(document).paths).flatMap((item) => Object.values<any>(item));

describe('the catalogue of problems', () => {
  /** What stands outside of every operation: no route has been found yet, or none could be. */
  const outside = [
    'malformed_request',
    'route_not_found',
    'method_not_allowed',
    'request_timeout',
    'expectation_failed',
    'headers_too_large',
    'method_not_implemented',
  ];

  test('is what the operations declare and what comes before any of them, no more and no less', () => {
    const declared = operations.flatMap(({ responses }) =>
      Object.entries<any>(responses)
        .filter(([status]) => !/^[23]/.test(status))
        .flatMap(([, { description }]) =>
          [...description.matchAll(/`(\w+)`/g)].map(([, code]) => String(code)),
        ),
    );
    // No resource of the sample has rules across fields (see rules.test.ts), and no command of it refuses a state.
    const elsewhere = ['rule_broken', 'conflict'];
    expect([...new Set([...declared, ...outside, ...elsewhere])].toSorted()).toEqual(
      Object.keys(problems).toSorted(),
    );
    expect(declared.filter((code) => outside.includes(code))).toEqual([]);
    expect(document.components.schemas.Problem.properties.code.enum).toEqual(Object.keys(problems));
  });

  test('can be read at the address that is the type of a problem', async () => {
    const { body: refusal } = await api.get('/books/unknown');
    expect((await api.get(refusal.type)).body).toEqual({
      code: 'not_found',
      status: 404,
      title: refusal.title,
    });
    const { body: all } = await api.get('/problems');
    expect(all.items.map(({ code }: any) => code)).toEqual(Object.keys(problems));
    for (const code of ['nothing', '__proto__', 'constructor'])
      expect((await api.get(`/problems/${code}`)).status).toBe(404);
  });
});

test('what operations have in common stands in the document once: it has at most 200 KB', () => {
  const bytes = Buffer.byteLength(JSON.stringify(document));
  expect(bytes / operations.length).toBeLessThan(200_000 / 94);
});

test('shared parts are called what their places have in common, and nothing is numbered', () => {
  const { schemas, parameters } = document.components;
  expect([...Object.keys(schemas), ...Object.keys(parameters)].filter((name) => /\d/.test(name))).toEqual([]);
  expect(schemas).toMatchObject({
    BookTitle: { maxLength: 300 },
    CurrentPassword: { format: 'password' },
    ChangeId: { type: 'string' },
    Ids: { type: 'array', items: { pattern: '^[0-9a-fA-F]{24}$' } },
    PostsStatusValues: { type: 'array', items: { enum: ['draft', 'published'] } },
  });
  expect(parameters).toMatchObject({ BooksSort: { name: 'sort' }, Limit: { name: 'limit' } });
});

test('parts with the same place get different names', () => {
  const parts = Array.from({ length: 4 }, (_, i) =>
    Array<string>(3).fill(`${'long '.repeat(20)}${i}`),
  ).flatMap((group) => group.map((text) => ({ place: 'Texts', content: { text }, put: () => {} })));
  expect(Object.keys(once('schemas', parts, { Texts: {} }))).toEqual([
    'Texts2',
    'Texts3',
    'Texts4',
    'Texts5',
  ]);
});

test('a filter is not described as its field', () => {
  const { author } = document.components.schemas.Post.properties;
  expect(author.description).toMatch(/cannot be removed/);
  const { parameters } = inPlace(document).paths['/posts'].get;
  for (const name of ['author', 'author[ne]'])
    expect(parameters.find((one: any) => one.name === name).description).toBeUndefined();
});

test('lists are documented as repetition', () => {
  const lists = operations
    .flatMap(({ parameters = [] }) => parameters)
    .filter(({ schema }: any) => schema.type === 'array');
  expect(lists.length).toBeGreaterThan(50);
  for (const { name, explode, schema } of lists)
    expect([name, explode, schema.minItems]).toEqual([name, true, 1]);
});

test('no enum has a null among its words, which generators of clients cannot compile', () => {
  const { properties } = document.components.schemas.PostGroup.properties.key;
  expect(properties.status).toEqual({
    anyOf: [{ type: 'string', enum: ['draft', 'published'] }, { type: 'null' }],
  });
  expect(JSON.stringify(document)).not.toMatch(/"enum":\[[^\]]*null/);
});

test('a body offers no field that the request cannot write, except what a PUT takes from a read', () => {
  const { UserCreation, UserPatch, UserReplacement } = document.components.schemas;
  expect(Object.keys(UserCreation.properties)).not.toContain('role');
  expect(Object.keys(UserPatch.properties)).not.toContain('role');
  expect(UserReplacement.properties.role).not.toHaveProperty('readOnly');
});

describe('pages for people', () => {
  const demo = { username: 'a"<b>@example.org', password: 'known to everybody' };
  let server: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    server = await serve({ demo });
  });
  afterAll(() => drain(server.server));
  const open = async (path: string, url = api.url()) => {
    const page = await fetch(url + path);
    return { page, html: await page.text() };
  };

  test.each(['/docs', '/docs/model', '/docs/live'])(
    '%s loads files of this server only, and runs nothing that stands in it',
    async (path) => {
      const { page, html } = await open(path);
      expect(page.headers.get('content-type')).toMatch(/^text\/html/);
      expect(page.headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; script-src 'self'; style-src 'self'; /,
      );
      expect(page.headers.get('content-security-policy')).not.toMatch(/unsafe|\*|https?:|nonce/);
      // The name of SVG's vocabulary looks like an address and is none.
      expect(html.replace(/xmlns="[^"]*"/g, '')).not.toMatch(/(https?:)?\/\/[a-z]/i);
      expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\s(style|on\w+)="/);
      const assets = [...html.matchAll(/(?:src|<link [^>]*href)="(\/[^"]+)"/g)].map(([, address]) => address);
      expect(assets.length).toBeGreaterThan(0);
      for (const asset of assets) {
        const response = await fetch(api.url() + asset);
        const size = (await response.arrayBuffer()).byteLength;
        expect([asset, response.status, size > 400]).toEqual([asset, 200, true]);
        expect(response.headers.get('content-type')).toMatch(
          { css: /^text\/css/, js: /javascript/, png: /^image\/png/ }[asset?.split('.').at(-1) as 'css'],
        );
        expect(response.headers.get('x-content-type-options')).toBe('nosniff');
        expect(response.headers.get('cache-control')).toMatch(/immutable/);
      }
    },
  );

  test('/docs keeps no token in the storage of the browser, and offers a login only where everybody knows it', async () => {
    const { html } = await open('/docs');
    const script = /src="([^"]*docs\.js)"/.exec(html)?.[1] as string;
    expect(await (await fetch(api.url() + script)).text()).not.toMatch(
      /persistAuthorization|localStorage|sessionStorage/,
    );
    expect(html).not.toContain('name="demo"');
    const { html: known } = await open('/docs', server.url);
    const content = /<meta name="demo" content="([^"]*)">/.exec(known)?.[1] as string;
    const unescaped = content.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
    expect(JSON.parse(unescaped)).toEqual(demo);
  });

  test('/docs/model shows what answers show, and every reference with how many it is about', async () => {
    const { html } = await open('/docs/model');
    expect(html).not.toContain('passwordHash');
    const rows = [...html.matchAll(/<tr>((?:<td>[^<]*<\/td>)+)<\/tr>/g)].map(([, row]) =>
      [...(row as string).matchAll(/<td>([^<]*)<\/td>/g)].map(([, cell]) => cell),
    );
    expect(rows).toEqual(
      expect.arrayContaining([
        ['posts', 'author', 'users', '* to 1', 'refused'],
        ['posts', 'tags', 'tags', '* to *', 'the reference is removed'],
      ]),
    );
    const lines = html.match(/class="relation"/g);
    expect(lines).toHaveLength(rows.length);
    for (const { collection } of resources)
      expect(html).toMatch(new RegExp(`class="name">${collection}</text>`));
  });

  test('DBML has the same tables and references', () => {
    const dbml = dbmlOf(modelFor(resources));
    expect(dbml).toContain('Ref: "posts"."author" > "users"."id" [delete: restrict]');
    expect(dbml).toContain('Ref: "posts"."tags" <> "tags"."id" [delete: set null]');
    expect(dbml.match(/^Table /gm)).toHaveLength(resources.length);
  });
});

describe('the layout of a model', () => {
  const entity = (name: string) => ({ name, description: '', fields: [] });
  const relation = (way: string): Relation => {
    const [from = '', to = ''] = way.split(' → ');
    return { from, to, field: 'x', source: '*', target: '1', onRemoval: 'restrict' };
  };

  test('puts each to the left of what it refers to, none on another, in circles and of itself, too', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const relations = ['a → b', 'b → c', 'a → c', 'c → a', 'd → d', 'e → c'].map(relation);
    const { boxes, lines, width, height } = layoutOf({ entities: names.map(entity), relations });
    const all = [...boxes.values()];
    expect(all.map(({ name }) => name).toSorted((one, other) => (one < other ? -1 : 1))).toEqual(names);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => boxes.get(name)?.x) as [number, number, number];
    expect([a < b, b < c]).toEqual([true, true]);
    for (const one of all) {
      expect([one.x >= 0, one.y >= 0, one.x + one.width <= width, one.y + one.height <= height]).toEqual(
        Array(4).fill(true),
      );
      for (const other of all)
        if (one !== other && one.x === other.x)
          expect(one.y + one.height <= other.y || other.y + other.height <= one.y).toBe(true);
    }
    expect(lines.map(({ points }) => points.length)).toEqual([2, 2, 4, 2, 2, 2]);
    for (const { points } of lines) expect(points.flat().every(Number.isFinite)).toBe(true);
  });
});
