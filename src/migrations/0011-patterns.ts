import { migration } from '../mongo/migrate/migration.ts';
import { changeField, required } from '../mongo/migrate/structure.ts';

/** The same rule, in which a dot matches what it matches in JavaScript. */
export const patterns = migration(import.meta.url, [
  changeField('users', 'email', {
    from: required({
      bsonType: 'string',
      description: 'Unique, whatever its case',
      maxLength: 254,
      pattern:
        '^(?!.*[\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}])[^\\x00-\\x20"(),:;<>@[\\\\\\]\\x7F]{1,64}@(?!-)[^\\x00-,./:-@[-`{-\\x7F]{1,63}(?<!-)(?:\\.(?!-)[^\\x00-,./:-@[-`{-\\x7F]{1,63}(?<!-))*\\z',
    }),
    to: required({
      bsonType: 'string',
      description: 'Unique, whatever its case',
      maxLength: 254,
      pattern:
        '^(?![^\\n\\r\\x{2028}\\x{2029}]*[\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}])[^\\x00-\\x20"(),:;<>@\\[\\\\\\]\\x7F]{1,64}@(?!-)[^\\x00-,./:-@\\[-`{-\\x7F]{1,63}(?<!-)(?:\\.(?!-)[^\\x00-,./:-@\\[-`{-\\x7F]{1,63}(?<!-))*\\z',
    }),
  }),
]);
