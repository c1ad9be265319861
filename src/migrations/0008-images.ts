import { migration } from '../mongo/migrate/migration.ts';
import { keepImages } from '../mongo/migrate/structure.ts';

export const images = migration(import.meta.url, [
  keepImages('users'),
  keepImages('tags'),
  keepImages('books'),
  keepImages('posts'),
]);
