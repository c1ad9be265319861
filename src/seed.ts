import { Book } from './resources/books/book.ts';
import { Tag } from './resources/tags/tag.ts';
import { resources } from './resources/index.ts';
import type { AnyResource } from './schema/resource.ts';

/** A few documents to look at, put into an empty database. Each resource's own example is the first of them. */
export async function seed(say: (line: string) => void): Promise<void> {
  for (const { model } of resources) if (await model.exists({})) return;
  for (const resource of resources) await store(resource, [resource.example, ...(more.get(resource) ?? [])]);
  say('The database was empty: a few books and tags have been put in.');
}

const more = new Map<AnyResource, object[]>([
  [
    Book,
    [
      { title: 'The Iliad', authors: ['Homer'], year: -750, isbn: null, language: 'grc' },
      { title: 'Middlemarch', authors: ['George Eliot'], year: 1871, isbn: '9780141439549', language: 'en' },
      { title: 'Solaris', authors: ['Stanisław Lem'], year: 1961, isbn: '9780156027601', language: 'pl' },
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
    Tag,
    [
      { name: 'classic', description: null },
      { name: 'comedy', description: 'To laugh' },
      { name: 'epic', description: 'Long, and in verse' },
    ],
  ],
]);

/** The seeds are written as the API writes JSON, and checked as its bodies are. */
async function store(resource: AnyResource, documents: object[]): Promise<void> {
  for (const { id, createdAt, updatedAt, ...json } of documents as {
    id?: string;
    [key: string]: unknown;
  }[]) {
    await resource.model.create({ ...(id && { _id: id }), ...resource.body.parse(json) });
  }
}
