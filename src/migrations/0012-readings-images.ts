import { migration } from '../mongo/migrate/migration.ts';
import { keepImages } from '../mongo/migrate/structure.ts';

export const readingsImages = migration(import.meta.url, [keepImages('readings')]);
