import { aBook, aPost, aTag, aUser } from './sample/factories.ts';
import { Tag } from './sample/tags/tag.ts';
import { aCaller } from './support/callers.ts';
import { dbName, mongoUri, useApi } from './support/harness.ts';
import { runScript } from './support/process.ts';
import { modelOf } from '../src/schema/model.ts';

/** Expressions: `filter=` beside the parameters of a list. */

const api = useApi();

const url = (path: string, filter: string, more = '') =>
  `${path}?filter=${encodeURIComponent(filter)}&limit=100${more}`;

const titles = async (filter: string, path = '/books', as = '', more = ''): Promise<string[]> => {
  const { status, body } = await api.get(url(path, filter, more), { as });
  expect([filter, status, body.errors]).toEqual([filter, 200, undefined]);
  return body.items.map(({ title }: { title: string }) => title).toSorted();
};

const faults = async (filter: string, path = '/books', as = ''): Promise<string[]> => {
  const { status, body } = await api.get(url(path, filter), { as });
  expect([filter, status]).toEqual([filter, 422]);
  return body.errors.map(({ parameter, code, message }: Record<string, string>) => {
    expect(parameter).toBe('filter');
    return `${code}: ${message}`;
  });
};

describe('an expression', () => {
  beforeEach(async () => {
    const [epic, robots] = [await aTag({ name: 'Epic' }), await aTag({ name: 'robots' })];
    await aBook({ title: 'Emma', authors: ['Jane Austen', 'An Editor'], year: 1815, isbn: '9780141439587' });
    await aBook({ title: 'Iliad', authors: ['Homer'], year: -750, language: 'grc', tags: [epic._id] });
    await aBook({
      title: 'Solaris',
      authors: ['Stanisław "S" Lem'],
      year: 1961,
      language: 'pl',
      tags: [epic._id, robots._id],
    });
    await aBook({ title: 'Lost', authors: ['Nobody'], year: null, language: null });
  });

  test.each([
    ['year = 1961', ['Solaris']],
    ['year != 1961', ['Emma', 'Iliad', 'Lost']],
    ['year > 1815 and year <= 1961', ['Solaris']],
    ['year >= 1815 AND year < 1961', ['Emma']],
    ['year < 0 or language = "pl"', ['Iliad', 'Solaris']],
    ['year in (1815, -750)', ['Emma', 'Iliad']],
    ['year not in (1815, -750)', ['Lost', 'Solaris']],
    ['year is null', ['Lost']],
    ['year is not null and not year < 0', ['Emma', 'Solaris']],
    ['not year > 1800', ['Iliad', 'Lost']],
    ['not (year > 1800)', ['Iliad', 'Lost']],
    ['not not year = 1815', ['Emma']],
    ['title contains "OLA"', ['Solaris']],
    ['title not contains "ma"', ['Iliad', 'Lost', 'Solaris']],
    ["authors has 'Homer'", ['Iliad']],
    ['authors has any ("Homer", "Jane Austen")', ['Emma', 'Iliad']],
    ['authors has all ("An Editor", "Jane Austen")', ['Emma']],
    ['authors != "Homer"', ['Emma', 'Lost', 'Solaris']],
    ['authors = "Stanisław \\"S\\" Lem"', ['Solaris']],
    ['tags is null', ['Emma', 'Lost']],
    ['tags is not null', ['Iliad', 'Solaris']],
    ['(year = 1815 or year = 1961) and (language = "pl" or title contains "zz")', ['Solaris']],
    ['language = "en" xor year = 1815', []],
    ['language = "en" xor year > 1800', ['Solaris']],
    ['year = 1 or year = -750 and language = "grc"', ['Iliad']],
    ['year = -750 and language = "grc" or year = 1815', ['Emma', 'Iliad']],
    ['isbn exists', ['Emma']],
    ['tags.name = "epic"', ['Iliad', 'Solaris']],
    ['tags.name != "epic"', ['Emma', 'Lost']],
    ['tags.name has all ("epic", "Robots")', ['Solaris']],
    ['tags.name in ("robots", "ai") or year = 1815', ['Emma', 'Solaris']],
    ['tags.name contains "ob"', ['Solaris']],
    ['tags.name = "none" or year = 1815', ['Emma']],
  ])('%s finds what it says', async (filter, expected) => {
    expect(await titles(filter)).toEqual(expected);
  });

  test('holds beside the parameters, on every page and in an export', async () => {
    const filter = 'language = "en" or year < 0';
    expect(await titles(filter, '/books', '', '&year[exists]=true&sort=title')).toEqual(['Emma', 'Iliad']);
    const first = await api.get(`${url('/books', filter)}&sort=title`.replace('limit=100', 'limit=1'));
    const second = await api.get(
      `${url('/books', filter)}&sort=title&after=${first.body.page.next}`.replace('limit=100', 'limit=1'),
    );
    expect([first, second].map(({ body }) => body.items[0].title)).toEqual(['Emma', 'Iliad']);
    expect(second.body.page.next).toBeNull();
    const other = url('/books', 'language = "en"', `&sort=title&after=${first.body.page.next}`);
    expect((await api.get(other)).body.code).toBe('invalid_cursor');
    const counted = await api.get(url('/books', filter, '&count=exact'));
    expect(counted.body.page.total).toBe(2);
    const csv = await api.get(
      `/books/export?format=csv&fields=title&sort=title&filter=${encodeURIComponent(filter)}`,
    );
    expect(csv.body).toMatch(/^id,title\r\n\w{24},Emma\r\n\w{24},Iliad\r\n$/);
  });
});

test('a parameter asks across a reference, too', async () => {
  const [ann, ben] = [await aUser({ name: 'Ann' }), await aUser({ name: 'Ben' })];
  await aPost({
    title: 'A',
    author: ann._id,
    status: 'published',
    tags: [(await aTag({ name: 'x,y' }))._id],
  });
  await aPost({ title: 'B', author: ben._id, status: 'published' });
  for (const [query, expected] of [
    ['author.name=ann', ['A']],
    ['author.name[in]=ann,Ben', ['A', 'B']],
    ['author.name[ne]=Ann', ['B']],
    ['tags.name=x,y', ['A']],
    ['tags.name[ne]=x,y', ['B']],
    ['author.name[contains]=nn', ['A']],
    ['author.name=Carl', []],
  ] as const) {
    const { body } = await api.get(`/posts?sort=title&${query}`);
    expect([query, body.items.map(({ title }: any) => title)]).toEqual([query, expected]);
  }
});

describe('of other documents', () => {
  test('only those count that the caller sees', async () => {
    const { id, token } = await aCaller('member');
    const [read, drafted, own] = [
      await aBook({ title: 'Read' }),
      await aBook({ title: 'Drafted' }),
      await aBook({ title: 'Own' }),
    ];
    await aPost({ title: 'P', books: [read._id], status: 'published' });
    await aPost({ title: 'D', books: [drafted._id], status: 'draft' });
    await aPost({ title: 'O', books: [own._id], status: 'draft', author: id });
    expect(await titles('posts exists')).toEqual(['Read']);
    expect(await titles('not posts exists')).toEqual(['Drafted', 'Own']);
    expect(await titles('posts exists', '/books', token)).toEqual(['Own', 'Read']);
    const { token: editor } = await aCaller('editor');
    expect(await titles('posts exists', '/books', editor)).toEqual(['Drafted', 'Own', 'Read']);
    expect((await api.get('/books?posts[exists]=true&count=exact', { as: '' })).body.page.total).toBe(1);
  });

  test('no more than 1,000 may meet the condition', async () => {
    const many = Array.from({ length: 1_001 }, (_, i) => ({ name: `many ${i}`, description: null }));
    await modelOf(Tag).insertMany(many);
    expect(await faults('tags.name contains "many" and year = 1961')).toEqual([
      'too_many_matches: matches more than 1000 tags: narrow it',
    ]);
    expect((await api.get('/books?tags.name[contains]=many')).body.errors).toMatchObject([
      { parameter: 'tags.name[contains]', code: 'too_many_matches' },
    ]);
    await modelOf(Tag).deleteOne({ name: 'many 7' });
    expect(await titles('tags.name contains "many"')).toEqual([]);
  });
});

describe('is refused', () => {
  test.each([
    ['year = ', 'syntax: at character 8: expected a value, not the end'],
    [
      'year 1961',
      'syntax: at character 6: expected =, !=, <, <=, >, >=, in, contains, has, is or exists, not "1961"',
    ],
    ['year = 1961 or', 'syntax: at character 15: expected a field, "not" or "(", not the end'],
    ['(year = 1961', 'syntax: at character 13: expected "and", "or", "xor" or ")", not the end'],
    ['year = 1961)', 'syntax: at character 12: expected "and", "or", "xor" or the end, not ")"'],
    [
      'year = null',
      'syntax: at character 8: expected a value (write "is null" to test for null), not "null"',
    ],
    ['year is nul', 'syntax: at character 9: expected "not" or "null", not "nul"'],
    [
      'title = "a',
      'syntax: at character 9: the text that begins here has no closing ", or a \\ that escapes neither a quote nor a \\',
    ],
    ['year = 1961 && year = 2', 'syntax: at character 13: "&" has no meaning outside quotes'],
    [
      'year = 1 xor year = 2 xor year = 3',
      'syntax: at character 23: expected parentheses around one "xor", not "xor"',
    ],
    [
      'not(not(not(not(not(not year = 1)))))',
      'syntax: at character 13: parentheses and "not" may be nested at most 5 deep',
    ],
    [
      'langage = 1961',
      /^unknown_field: at character 1: "langage" is not one of title, .*; did you mean language\?$/,
    ],
    [
      'year contains "19"',
      'unknown_operator: at character 1: year takes =, !=, >, >=, <, <=, in, not in, is null; not contains',
    ],
    ['year has 1961', /^unknown_operator: .*; not has$/],
    ['title = Emma', 'unquoted: at character 9: expected a text in quotes: "Emma"'],
    ['year in (1, 2, x)', 'invalid_value: at character 16: year must be a whole number'],
    ['tags = "x"', 'invalid_value: at character 8: tags must be an id: 24 hexadecimal digits'],
    ['title contains "a"', 'invalid_value: at character 16: title must have at least 2 characters'],
    [
      'year = 1961 or title contains "ola"',
      /^needs_index: at character 16: no index leads to this side of "or"/,
    ],
    ['year = 1 or (language != "en" and not year = 2)', /^needs_index: at character 14:/],
    ['year = 1961 xor not year = 2', /^needs_index: at character 17:/],
    [
      Array(31).fill('year = 1').join(' or '),
      /^syntax: at character 1: an expression may have at most 30 conditions/,
    ],
    [
      Array(6).fill('tags.name = "x"').join(' and '),
      /^too_complex: at character 101: an expression may have at most 5 conditions/,
    ],
    ['', 'too_small: must have a condition'],
  ] as const)('%s', async (filter, fault) => {
    const [found, ...others] = await faults(filter);
    expect(others).toEqual([]);
    if (typeof fault === 'string') expect(found).toBe(fault);
    else expect(found).toMatch(fault);
  });

  test('with all of its faults at once, beside those of other parameters', async () => {
    const { body } = await api.get(`${url('/books', 'yaer = 1 or year = x')}&year=y`);
    expect(body.errors.map(({ parameter, code }: any) => `${parameter} ${code}`).toSorted()).toEqual([
      'filter invalid_value',
      'filter unknown_field',
      'year invalid_format',
    ]);
  });

  test('where it looks at what the caller does not see', async () => {
    const { token } = await aCaller('member');
    for (const as of ['', token]) {
      const { status, body } = await api.get(url('/users', 'name = "Ann" or not role = admin'), { as });
      expect([status, body.errors]).toEqual([422, [expect.objectContaining({ code: 'needs_index' })]]);
      const answer = await api.get(url('/users', 'name = "Ann" or role = admin'), { as });
      expect([answer.status, answer.body.errors]).toMatchObject([
        403,
        [{ parameter: 'filter', code: 'not_readable' }],
      ]);
    }
    expect((await api.get(url('/users', 'name = "Ann" or role = admin'))).status).toBe(200);
  });
});

test('npm run explain tells which index answers each part', async () => {
  for (let year = -5; year < 100; year++) await aBook({ year });
  await aTag({ name: 'epic' });
  const uri = new URL(mongoUri);
  uri.pathname = `/${dbName}`;
  const explain = (...args: string[]) => runScript('scripts/explain.ts', args, { MONGODB_URI: uri.href });
  const { exitCode, stdout } = await explain('/books?filter=year < 0 or tags.name = "epic"&sort=title');
  expect([exitCode, stdout.replace(/ObjectId\('\w+'\)/g, 'an id')]).toEqual([
    0,
    expect.stringMatching(
      /find tags[^]*index name_1_en_2: name in [^]*1 key and 1 document[^]*find books[^]*index year_1__id_1_en: year in \[-inf, 0\)[^]*index tags_1__id_1_en: tags in \[an id, an id\][^]*5 keys and 5 documents, returned 5 documents/,
    ),
  ]);
  const refused = await explain('/users?filter=role = admin', '--as', 'member');
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/^filter looks at role/m) });
});
