import mongoose from 'mongoose';
import { backfill } from '../../dist/src/mongo/migrate/documents.js';
import { migration } from '../../dist/src/mongo/migrate/migration.js';
import { up } from '../../dist/src/mongo/migrate/run.js';

/** A process that applies one migration, which counts up each document of `things`: runner.mjs URI LEASE. */
const counted = migration(import.meta.url, [
  backfill('things', {
    where: {},
    update: [{ $set: { n: { $add: ['$n', 1] } } }],
    verify: { n: { $ne: 1 } },
    down: 'It is only counted up.',
  }),
]);

const [uri = '', lease] = process.argv.slice(2);
const client = await new mongoose.mongo.MongoClient(uri).connect();
try {
  const applied = await up(client.db(), [counted], {
    lease: Number(lease),
    say: console.log,
    onProgress: ({ walked }) => console.log(`walked ${walked}`),
  });
  console.log(`applied ${applied.length}`);
} catch (error) {
  console.log(String(error));
} finally {
  await client.close();
}
