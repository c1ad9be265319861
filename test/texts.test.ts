import mongoose, { type mongo } from 'mongoose';
import { inWords, questionOf } from '../scripts/explain/plan.ts';
import { list } from '../src/http/list.ts';
import { create } from '../src/http/crud.ts';
import { exportAll } from '../src/http/export.ts';
import { database } from '../src/mongo/connect.ts';
import { text } from '../src/schema/fields.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { resource } from '../src/schema/resource.ts';
import { useApi } from './support/harness.ts';

/** How texts compare: in the order of a dictionary, and for equality as the definition says. */

const define = <const N extends string>(name: N, collation?: mongo.CollationOptions) =>
  resource(name, {
    collection: `${name.toLowerCase()}s`,
    description: 'A word',
    fields: { word: text(1, 50), kind: text(1, 50) },
    policy: { read: ['anyone'], create: ['editor'] },
    indexes: [
      { key: { word: 1, _id: 1 } },
      { key: { kind: 1, word: 1 }, unique: true },
      { key: { createdAt: 1, _id: 1 } },
    ],
    search: ['word'],
    ...(collation && { collation }),
    example: { id: '65f000000000000000000e01', word: 'emile', kind: 'a' },
  });
const Word = define('Word');
const Name = define('Name', { locale: 'en', strength: 2 });
const Code = define('Code', { locale: 'simple' });
connect([Word, Name, Code]);

const api = useApi(
  {
    resources: [Word, Name, Code],
    routes: [Word, Name, Code].flatMap((one) => {
      const listing = { filter: ['word', 'kind', 'createdAt'], sort: ['word', 'createdAt'] } as const;
      return [
        list(one, listing),
        exportAll(one, listing),
        create(one, { example: { word: 'a', kind: 'b' } }),
      ];
    }),
  },
  { monitorCommands: true },
);

const WORDS = ['Zola', 'emile', 'Émile', 'Ångström', 'apple', 'Emile', 'angel', 'zebra'];
beforeEach(async () => {
  for (const one of [Word, Name, Code])
    await modelOf(one).insertMany(WORDS.map((word, i) => ({ word, kind: String(i) })) as never[]);
});

const wordsIn = async (path: string): Promise<string[]> => {
  const { status, body } = await api.get(path);
  expect([path, status]).toEqual([path, 200]);
  return body.items.map(({ word }: { word: string }) => word);
};
const query = (parameters: Record<string, string>) => String(new URLSearchParams(parameters));

test.each([
  ['words', ['angel', 'Ångström', 'apple', 'emile', 'Emile', 'Émile', 'zebra', 'Zola']],
  // Of equals the older one first.
  ['names', ['angel', 'Ångström', 'apple', 'emile', 'Emile', 'Émile', 'zebra', 'Zola']],
  ['codes', ['Emile', 'Zola', 'angel', 'apple', 'emile', 'zebra', 'Ångström', 'Émile']],
])(
  '%s are sorted as their collation says, on one page, on many, in both directions, and in an export',
  async (collection, sorted) => {
    expect(await wordsIn(`/${collection}?sort=word`)).toEqual(sorted);
    expect(await wordsIn(`/${collection}?sort=-word`)).toEqual(sorted.toReversed());
    const pages: string[][] = [];
    let page = (await api.get(`/${collection}?sort=word&limit=3`)).body;
    for (;;) {
      pages.push(page.items.map(({ word }: any) => word));
      if (!page.page.next) break;
      page = (await api.get(`/${collection}?sort=word&limit=3&after=${page.page.next}`)).body;
    }
    expect(pages.flat()).toEqual(sorted);
    expect(await wordsIn(`/${collection}?sort=word&limit=3&before=${page.page.prev}`)).toEqual(pages[1]);
    const lines = String((await api.get(`/${collection}/export?sort=word`)).body)
      .trim()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line).word)).toEqual(sorted);
  },
);

test.each([
  ['words', ['Emile'], 'E\u0301mile', ['Émile']],
  ['names', ['Emile', 'emile'], 'e\u0301mile', ['Émile']],
  ['codes', ['Emile'], 'E\u0301mile', []],
])(
  '%s are equal as their collation says, in every kind of question',
  async (collection, found, decomposed, same) => {
    for (const asked of [
      { word: 'Emile' },
      { 'word[in]': 'Emile' },
      { filter: 'word = "Emile"' },
      { filter: 'not word != "Emile"' },
    ])
      expect((await wordsIn(`/${collection}?${query(asked as never)}`)).toSorted()).toEqual(found);
    expect(await wordsIn(`/${collection}?${query({ word: decomposed })}`)).toEqual(same);
    const others = await wordsIn(`/${collection}?${query({ 'word[ne]': 'Emile' })}`);
    expect(others).toHaveLength(WORDS.length - found.length);
    // Beside a search, too, which has an index of its own.
    expect(await wordsIn(`/${collection}?${query({ q: 'emile', word: 'Emile' })}`)).toHaveLength(
      found.length,
    );
    const { status } = await api.post(`/${collection}`, { word: 'APPLE', kind: '4' });
    expect(status).toBe(collection === 'names' ? 409 : 201);
  },
);

/** What MongoDB does for the queries of a request. */
async function plansOf(path: string): Promise<string[]> {
  const client = mongoose.connection.getClient();
  const questions: object[] = [];
  const note = ({ command }: mongo.CommandStartedEvent) => {
    const question = questionOf(command);
    if (question && /words|names|codes/.test(String(Object.values(question)[0]))) questions.push(question);
  };
  client.on('commandStarted', note);
  await wordsIn(path).finally(() => client.off('commandStarted', note));
  expect(questions).not.toEqual([]);
  const plans: string[] = [];
  for (const question of questions)
    plans.push(...inWords(await database().command({ explain: question, verbosity: 'executionStats' })));
  return plans;
}

test.each(['words', 'names', 'codes'])('%s are found and sorted by an index', async (collection) => {
  const { next } = (await api.get(`/${collection}?sort=word&limit=3`)).body.page;
  for (const asked of [
    '',
    'sort=id',
    'sort=word',
    'sort=-word',
    'sort=createdAt',
    `sort=word&limit=3&after=${next}`,
    'word=emile',
    'word=emile&sort=word',
    'word[in]=emile,Zola',
    'kind=1',
  ]) {
    const plans = (await plansOf(`/${collection}?${asked}`)).join('\n');
    expect([asked, plans]).toEqual([asked, expect.stringContaining('index ')]);
    expect([asked, plans]).toEqual([asked, expect.not.stringContaining('NO INDEX')]);
    // Those of several words are sorted once they are found, and there are few.
    if (!asked.includes('[in]') && asked !== 'kind=1')
      expect([asked, plans]).toEqual([asked, expect.not.stringContaining('sorts in memory')]);
  }
});
