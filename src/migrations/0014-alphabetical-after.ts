import { migration } from '../mongo/migrate/migration.ts';
import { dropIndex } from '../mongo/migrate/structure.ts';

export const alphabeticalAfter = migration(
  import.meta.url,
  [
    dropIndex(
      'books',
      { key: { isbn: 1 }, unique: true, partialFilterExpression: { isbn: { $gt: '' } } },
      { key: { isbn: 1, _id: 1 } },
      { key: { title: 1, _id: 1 } },
      { key: { year: 1, _id: 1 } },
      { key: { createdAt: 1, _id: 1 } },
      { key: { authors: 1, _id: 1 } },
      { key: { language: 1, _id: 1 } },
      { key: { tags: 1, _id: 1 } },
      { key: { year: -1, title: 1, _id: 1 } },
    ),
    dropIndex(
      'posts',
      { key: { author: 1, _id: 1 } },
      { key: { books: 1, _id: 1 } },
      { key: { tags: 1, _id: 1 } },
      { key: { status: 1, _id: 1 } },
      { key: { title: 1, _id: 1 } },
      { key: { publishedAt: 1, _id: 1 } },
      { key: { createdAt: 1, _id: 1 } },
    ),
  ],
  { afterDeployment: true },
);
