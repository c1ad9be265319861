import { migration } from '../../../src/mongo/migrate/migration.ts';
import { changeField, optional, required } from '../../../src/mongo/migrate/structure.ts';

const author = {
  bsonType: 'string',
  minLength: 1,
  maxLength: 400,
  pattern:
    '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
};

/** Contract: a version that writes no author may come. */
export const authorOptional = migration(import.meta.url, [
  changeField('volumes', 'author', { from: required(author), to: optional(author) }),
]);
