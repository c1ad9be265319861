import { migration } from '../../../src/mongo/migrate/migration.ts';
import { changeField, optional } from '../../../src/mongo/migrate/structure.ts';

const notBlank =
  '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z';
const name = {
  bsonType: 'object',
  properties: {
    given: { bsonType: 'string', minLength: 0, maxLength: 200, pattern: '^[^\\x00]*\\z' },
    family: { bsonType: 'string', minLength: 1, maxLength: 200, pattern: notBlank },
  },
  required: ['given', 'family'],
  additionalProperties: false,
};

/** Expand: there may be a name. */
export const allowName = migration(import.meta.url, [changeField('volumes', 'name', { to: optional(name) })]);
