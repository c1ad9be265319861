import { Types } from 'mongoose';
import { z } from 'zod';
import { runAs, SYSTEM } from './auth/caller.ts';
import { DEMO_PASSWORD, hashPassword } from './auth/passwords.ts';
import { digestOf, makeSecret } from './auth/tokens.ts';
import { transaction } from './mongo/transaction.ts';
import { ApiKey, Book, Post, resources, Tag, User } from './resources/index.ts';
import { demoAccounts } from './resources/users/demo.ts';
import { type AnyResource, noun } from './schema/resource.ts';
import { create } from './schema/store.ts';

/** A few documents to look at, put into an empty database: all of them, or none. */
export async function seed(say: (line: string) => void): Promise<void> {
  if (!(await isEmpty())) return;
  const passwordHash = await hashPassword(DEMO_PASSWORD);
  // Nobody knows its secret: it is there to be listed and removed.
  const key = { ...ApiKey.example, expiresAt: inAMonth(), digest: digestOf(makeSecret()) };
  const accounts: Seeds = [User, demoAccounts.map((account) => ({ ...account, passwordHash }))];
  const stored = await runAs(SYSTEM, () =>
    transaction(async () => {
      // Again, in the transaction: another process that starts at the same moment may be doing the same.
      if (!(await isEmpty())) return false;
      for (const [resource, documents] of [accounts, [ApiKey, [key]] satisfies Seeds, ...seeds])
        for (const document of documents) await store(resource, document);
      return true;
    }),
  );
  if (stored) say('The database was empty: a few users, tags, books and posts have been put in.');
}

async function isEmpty(): Promise<boolean> {
  for (const { model } of resources) if (await model.exists({})) return false;
  return true;
}

type Seeds = [AnyResource, Record<string, unknown>[]];

const inAMonth = (): string => new Date(Date.now() + 30 * 24 * 60 * 60 * 1_000).toISOString();

/** The seeds are written as the API writes JSON, and checked by the same rules. */
async function store(resource: AnyResource, document: Record<string, unknown>): Promise<void> {
  const { id, createdAt, updatedAt, ...json } = document;
  const optional = Object.fromEntries(Object.keys(resource.defaults).map((field) => [field, true as const]));
  const { data, error } = z
    .strictObject(resource.fields)
    .partial(optional as never)
    .safeParse(json);
  if (error) throw new Error(`A ${noun(resource)} of src/seed.ts is none:\n${z.prettifyError(error)}`);
  await create(resource, data, id === undefined ? undefined : new Types.ObjectId(id as string));
}

/** What has an id is what the examples of the API speak of, so that each can be tried as it stands. */
const seeds: Seeds[] = [
  [
    Tag,
    [
      Tag.example,
      { id: '65f000000000000000000a02', name: 'sci-fi' },
      { id: '65f000000000000000000a03', name: 'comedy', description: 'To laugh' },
      { id: '65f000000000000000000a04', name: 'epic', description: 'Long, and in verse' },
      { name: 'classic' },
    ],
  ],
  [
    Book,
    [
      Book.example,
      { id: '65f000000000000000000b02', title: 'The Iliad', authors: ['Homer'], year: -750, language: 'grc' },
      {
        id: '65f000000000000000000b03',
        title: 'Solaris',
        authors: ['Stanisław Lem'],
        year: 1961,
        isbn: '9780156027601',
        language: 'pl',
        tags: ['65f000000000000000000a02'],
      },
      { title: 'Middlemarch', authors: ['George Eliot'], year: 1871, isbn: '9780141439549', language: 'en' },
      { title: 'Kindred', authors: ['Octavia E. Butler'], year: 1979, isbn: '9780807083697', language: 'en' },
      {
        title: 'Good Omens',
        authors: ['Terry Pratchett', 'Neil Gaiman'],
        year: 1990,
        isbn: '9780060853983',
        language: 'en',
      },
    ],
  ],
  [
    Post,
    [
      Post.example,
      {
        id: '65f000000000000000000d02',
        title: 'Notes for later',
        body: 'Read the other translation too.',
        author: '65f000000000000000000c01',
      },
      {
        id: '65f000000000000000000d03',
        title: 'A draft, to be published',
        body: 'Only its author and editors see it.',
        author: '65f000000000000000000c01',
      },
      {
        title: 'An ocean that thinks',
        body: 'What if the other one does not want to talk?',
        status: 'published',
        publishedAt: '2026-01-31T12:00:00Z',
        author: '65f000000000000000000c02',
        books: ['65f000000000000000000b03', '65f000000000000000000b01'],
        tags: ['65f000000000000000000a01', '65f000000000000000000a02'],
      },
    ],
  ],
];
