import { migration } from '../../../src/mongo/migrate/migration.ts';

/** Changes nothing: for what is told of several migrations. */
export const second = migration(import.meta.url, []);
