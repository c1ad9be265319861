import { JOURNAL } from '../../../src/mongo/migrate/journal.ts';
import { LOCK } from '../../../src/mongo/migrate/lock.ts';
import { migration } from '../../../src/mongo/migrate/migration.ts';
import { createCollection } from '../../../src/mongo/migrate/structure.ts';
import { collections } from '../../../src/resources/api.ts';
import { databaseOf } from '../../../src/schema/layout.ts';

const { [JOURNAL.collection]: _journal, [LOCK.collection]: _lock, ...wanted } = databaseOf(collections);

/** No literals, unlike those of a program in use: the database of the tests is made as the definitions say. */
export const initial = migration(
  import.meta.url,
  Object.entries(wanted)
    .filter(([, { view }]) => !view)
    .map(([name, { indexes, ...layout }]) =>
      createCollection(name, {
        ...layout,
        indexes: Object.entries(indexes).map(([name, index]) => ({ name, ...index })),
      }),
    ),
);
