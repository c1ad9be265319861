import { migration } from '../mongo/migrate/migration.ts';
import { createIndex } from '../mongo/migrate/structure.ts';

const en = { collation: { locale: 'en' } };

/** The same indexes, in which texts stand as in a dictionary. The former ones serve the version before meanwhile. */
export const alphabetical = migration(
  import.meta.url,
  [
    createIndex(
      'books',
      {
        name: 'isbn_1_where_{"isbn":{"$gt":""}}_en',
        key: { isbn: 1 },
        unique: true,
        partialFilterExpression: { isbn: { $gt: '' } },
        ...en,
      },
      { name: 'isbn_1__id_1_en', key: { isbn: 1, _id: 1 }, ...en },
      { name: 'title_1__id_1_en', key: { title: 1, _id: 1 }, ...en },
      { name: 'year_1__id_1_en', key: { year: 1, _id: 1 }, ...en },
      { name: 'createdAt_1__id_1_en', key: { createdAt: 1, _id: 1 }, ...en },
      { name: 'authors_1__id_1_en', key: { authors: 1, _id: 1 }, ...en },
      { name: 'language_1__id_1_en', key: { language: 1, _id: 1 }, ...en },
      { name: 'tags_1__id_1_en', key: { tags: 1, _id: 1 }, ...en },
      { name: 'year_-1_title_1__id_1_en', key: { year: -1, title: 1, _id: 1 }, ...en },
    ),
    createIndex(
      'posts',
      { name: 'author_1__id_1_en', key: { author: 1, _id: 1 }, ...en },
      { name: 'books_1__id_1_en', key: { books: 1, _id: 1 }, ...en },
      { name: 'tags_1__id_1_en', key: { tags: 1, _id: 1 }, ...en },
      { name: 'status_1__id_1_en', key: { status: 1, _id: 1 }, ...en },
      { name: 'title_1__id_1_en', key: { title: 1, _id: 1 }, ...en },
      { name: 'publishedAt_1__id_1_en', key: { publishedAt: 1, _id: 1 }, ...en },
      { name: 'createdAt_1__id_1_en', key: { createdAt: 1, _id: 1 }, ...en },
    ),
  ],
  {
    // For ISBNs, unique means the same as before.
    compatible: true,
  },
);
