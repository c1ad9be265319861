import type { Types } from 'mongoose';
import { modelOf } from '../src/schema/model.ts';
import { aBook, aPost, aTag, aUser } from './sample/factories.ts';
import { Tag } from './sample/tags/tag.ts';
import { aCaller } from './support/callers.ts';
import { useApi } from './support/harness.ts';

/** Groups and facets. */

const api = useApi();

const ask = async (path: string, parameters: Record<string, string>, as = '') =>
  api.get(`${path}?${String(new URLSearchParams(parameters))}`, { as });

const groups = async (
  parameters: Record<string, string>,
  path = '/books/groups',
  as = '',
): Promise<any[]> => {
  const { status, body } = await ask(path, parameters, as);
  expect([parameters, status, body.errors]).toEqual([parameters, 200, undefined]);
  expect(body.page.total).toBeGreaterThanOrEqual(body.items.length);
  return body.items;
};

const faults = async (parameters: Record<string, string>): Promise<string[]> => {
  const { status, body } = await ask('/books/groups', parameters);
  expect([parameters, status]).toEqual([parameters, 422]);
  return body.errors.map(({ parameter, code, message }: any) => `${parameter} ${code}: ${message}`);
};

describe('groups of books', () => {
  let epic: Types.ObjectId;
  let war: Types.ObjectId;
  beforeEach(async () => {
    [epic, war] = [(await aTag({ name: 'epic' }))._id, (await aTag({ name: 'war' }))._id];
    const at = (text: string) => ({ createdAt: new Date(text) });
    await aBook({
      title: 'Iliad',
      year: -750,
      language: 'grc',
      tags: [epic, war],
      ...at('2024-12-31T23:59:59Z'),
    });
    await aBook({ title: 'Emma', year: 1815, language: 'en', ...at('2025-01-01T00:00:00Z') });
    await aBook({
      title: 'Solaris',
      year: 1961,
      language: 'pl',
      tags: [epic],
      ...at('2025-01-31T12:00:00Z'),
    });
    await aBook({
      title: 'Catch-22',
      year: 1961,
      language: 'en',
      tags: [war],
      ...at('2025-02-01T12:00:00Z'),
    });
    await aBook({ title: 'Herzog', year: 1964, language: 'en', ...at('2025-02-02T12:00:00Z') });
    await aBook({ title: 'Lost', year: null, language: null, ...at('2025-02-02T13:00:00Z') });
  });

  test('have a count, sums, averages, extremes and numbers of values, the largest first', async () => {
    const show = 'count,sum(year),avg(year),min(year),max(year),max(createdAt),distinct(year)';
    expect(await groups({ by: 'language', show })).toEqual([
      {
        key: { language: 'en' },
        count: 3,
        sum: { year: 5740 },
        avg: { year: 5740 / 3 },
        min: { year: 1815 },
        max: { year: 1964, createdAt: '2025-02-02T12:00:00.000Z' },
        distinct: { year: 3 },
      },
      {
        key: { language: null },
        count: 1,
        sum: { year: 0 },
        avg: { year: null },
        min: { year: null },
        max: { year: null, createdAt: '2025-02-02T13:00:00.000Z' },
        distinct: { year: 0 },
      },
      expect.objectContaining({ key: { language: 'grc' }, count: 1 }),
      expect.objectContaining({ key: { language: 'pl' }, count: 1 }),
    ]);
  });

  test('round numbers and times, in UTC', async () => {
    const counts = async (by: string) =>
      (await groups({ by, sort: by.replace(/\[.*/, '') })).map(({ key, count }) => [
        Object.values(key)[0],
        count,
      ]);
    expect(await counts('year[decade]')).toEqual([
      [null, 1],
      [-750, 1],
      [1810, 1],
      [1960, 3],
    ]);
    expect(await counts('year[100]')).toEqual([
      [null, 1],
      [-800, 1],
      [1800, 1],
      [1900, 3],
    ]);
    expect(await counts('createdAt[year]')).toEqual([
      ['2024', 1],
      ['2025', 5],
    ]);
    expect(await counts('createdAt[month]')).toEqual([
      ['2024-12', 1],
      ['2025-01', 2],
      ['2025-02', 3],
    ]);
    expect((await counts('createdAt[day]')).at(-1)).toEqual(['2025-02-02', 2]);
  });

  test('by a list have each of its elements, once for each document; an empty one is null', async () => {
    await aBook({ title: 'Twice', authors: ['Homer', 'Homer'] });
    await aBook({ title: 'Once', authors: ['Homer'] });
    expect((await groups({ by: 'authors', filter: 'authors = "Homer"' })).map(({ count }) => count)).toEqual([
      2,
    ]);
    const items = await groups({ by: 'tags', filter: 'authors != "Homer"', sort: 'count,tags' });
    expect(items.map(({ key, count }) => [key.tags, count])).toEqual([
      [String(epic), 2],
      [String(war), 2],
      [null, 3],
    ]);
  });

  test('show documents in place of their ids, as the caller may see them', async () => {
    const items = await groups({ by: 'tags', include: 'tags', sort: '-tags', limit: '1' });
    expect(items).toEqual([
      { key: { tags: expect.objectContaining({ id: String(war), name: 'war' }) }, count: 2 },
    ]);
    await modelOf(Tag).deleteOne({ _id: war });
    expect(await groups({ by: 'tags', include: 'tags', sort: '-tags', limit: '1' })).toEqual([
      { key: { tags: String(war) }, count: 2 },
    ]);
  });

  test('are found by all filters of the list', async () => {
    const parameters = { by: 'language', 'year[gte]': '1900', filter: 'tags.name = "epic" or year = 1964' };
    expect(await groups(parameters)).toEqual([
      { key: { language: 'en' }, count: 1 },
      { key: { language: 'pl' }, count: 1 },
    ]);
    expect(await groups({ by: 'language', q: 'herzog' })).toEqual([{ key: { language: 'en' }, count: 1 }]);
  });

  test('are chosen by having, sorted and paged', async () => {
    const by = 'language,year[decade]';
    const all = await groups({ by, having: 'count >= 1 and avg(year) < 1960.5', sort: '-avg(year)' });
    expect(all.map(({ key }) => Object.values(key))).toEqual([
      ['en', 1810],
      ['grc', -750],
    ]);
    expect(
      await groups({ by: 'language', having: 'distinct(year) > 1 or max(createdAt) < 2025-01-01T00:00:00Z' }),
    ).toHaveLength(2);
    expect(await groups({ by: 'language', having: 'avg(year) is null' })).toHaveLength(1);
    const { body } = await ask('/books/groups', {
      by: 'language',
      sort: 'language',
      limit: '2',
      offset: '1',
    });
    expect(body).toEqual({
      items: [
        { key: { language: 'en' }, count: 3 },
        { key: { language: 'grc' }, count: 1 },
      ],
      page: { limit: 2, offset: 1, total: 4 },
    });
  });

  test.each([
    [{}, ['by required: is required']],
    [{ by: 'title' }, [/^by invalid_format: must be among language, year, year\[decade\], year\[25\]/]],
    [{ by: 'createdAt' }, [/^by invalid_format/]],
    [{ by: 'year[0]' }, [/^by invalid_format/]],
    [{ by: 'year,year[decade]' }, ['by invalid: names year twice']],
    [{ by: 'language,year,tags,authors' }, ['by too_big: must have at most 3 values']],
    [{ by: 'language', show: 'avg(title)' }, [/^show invalid_value: must be among count, sum\(year\)/]],
    [{ by: 'language', sort: 'year' }, ['sort invalid: names year, which is not in by']],
    [{ by: 'language', include: 'tags' }, ['include invalid: names tags, which is not in by']],
    [{ by: 'language', having: 'language = "en"' }, [/^having unknown_field: at character 1:/]],
    [
      { by: 'language', having: 'avg(year) >' },
      ['having syntax: at character 12: expected a value, not the end'],
    ],
    [{ by: 'language', having: 'count contains "1"' }, [/^having unknown_operator/]],
    [{ by: 'language', after: 'x' }, [/^after unknown_parameter/]],
  ] as [Record<string, string>, (string | RegExp)[]][])('%j is refused', async (parameters, expected) => {
    expect(await faults(parameters)).toEqual(
      expected.map((one) => (typeof one === 'string' ? one : expect.stringMatching(one))),
    );
  });
});

test('more than 1,000 groups are refused', async () => {
  for (const years of [1_000, 1]) {
    await Promise.all(
      Array.from({ length: years }, (_, i) => aBook({ year: i + (years === 1 ? 1_000 : 0) })),
    );
    const { status, body } = await ask('/books/groups', { by: 'year', limit: '1' });
    if (years > 1) expect([status, body.page.total]).toEqual([200, 1_000]);
    else
      expect([status, body.errors]).toEqual([
        422,
        [
          {
            in: 'query',
            parameter: 'by',
            code: 'too_many_groups',
            message: 'makes more than 1000 groups: round the values, or narrow them with filters or having',
          },
        ],
      ]);
  }
  expect((await ask('/books/groups', { by: 'year', having: 'count > 1' })).body.page.total).toBe(0);
});

describe('what the caller does not see', () => {
  test('counts nowhere: drafts', async () => {
    const { id, token } = await aCaller('member');
    const [ann, tag] = [await aUser({ name: 'Ann' }), await aTag()];
    const { token: editor } = await aCaller('editor');
    await aPost({ author: ann._id, status: 'published', tags: [tag._id] });
    await aPost({ author: ann._id, status: 'draft', tags: [tag._id] });
    await aPost({ author: id, status: 'draft', tags: [tag._id] });
    for (const [as, expected] of [
      ['', 1],
      [token, 2],
      [editor, 3],
    ] as const) {
      const [group] = await groups({ by: 'tags', having: `count = ${expected}` }, '/posts/groups', as);
      expect(group.count).toBe(expected);
      const { body } = await ask('/posts', { facets: 'tags,author', limit: '1' }, as);
      expect(body.facets.tags).toEqual([{ value: String(tag._id), count: expected }]);
      expect(body.facets.author.reduce((sum: number, { count }: any) => sum + count, 0)).toBe(expected);
    }
  });
});

describe('facets', () => {
  test('tell the most frequent values on all pages, under the conditions of the list', async () => {
    const tag = await aTag();
    for (const [language, count] of [
      ['en', 3],
      ['pl', 2],
      ['grc', 1],
    ] as const)
      for (let i = 0; i < count; i++) await aBook({ language, tags: i ? [tag._id] : [], year: 1900 + i });
    const { body } = await ask('/books', { facets: 'language,tags', limit: '1' });
    expect(body.items).toHaveLength(1);
    expect(body.facets).toEqual({
      language: [
        { value: 'en', count: 3 },
        { value: 'pl', count: 2 },
        { value: 'grc', count: 1 },
      ],
      tags: [
        { value: null, count: 3 },
        { value: String(tag._id), count: 3 },
      ],
    });
    const narrowed = await ask('/books', { facets: 'language', filter: 'year = 1901 or year = 1902' });
    expect(narrowed.body.facets.language).toEqual([
      { value: 'en', count: 2 },
      { value: 'pl', count: 1 },
    ]);
    expect((await api.get('/books')).body).not.toHaveProperty('facets');
    const ofTag = await ask(`/tags/${tag._id}/books`, { facets: 'language' });
    expect(ofTag.body.facets.language).toEqual([
      { value: 'en', count: 2 },
      { value: 'pl', count: 1 },
    ]);
  });

  test('are ten at most, and of declared fields', async () => {
    for (let i = 0; i < 12; i++) await aBook({ year: i });
    expect((await ask('/books', { facets: 'year' })).body.facets.year).toHaveLength(10);
    for (const facets of ['title', 'createdAt', 'year[decade]', ''])
      expect((await ask('/books', { facets })).status).toBe(422);
  });
});
