import type { Migration } from '../../../src/mongo/migrate/migration.ts';
import { initial } from './0001-initial.ts';
import { second } from './0002-second.ts';

/** In place of src/migrations/index.ts, where the kernel is tested. */
export const migrations: Migration[] = [initial, second];
