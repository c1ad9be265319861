import { migration } from '../mongo/migrate/migration.ts';
import { changeField, required } from '../mongo/migrate/structure.ts';

export const formats = migration(import.meta.url, [
  changeField('users', 'email', {
    from: required({
      bsonType: 'string',
      description: 'Unique, whatever its case',
      maxLength: 254,
      pattern:
        "^(?:[A-Za-z0-9_'+\\-]+\\.)*[A-Za-z0-9_'+\\-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}\\z",
    }),
    to: required({
      bsonType: 'string',
      description: 'Unique, whatever its case',
      maxLength: 254,
      pattern:
        '^(?!.*[\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}])[^\\x00-\\x20"(),:;<>@[\\\\\\]\\x7F]{1,64}@(?!-)[^\\x00-,./:-@[-`{-\\x7F]{1,63}(?<!-)(?:\\.(?!-)[^\\x00-,./:-@[-`{-\\x7F]{1,63}(?<!-))*\\z',
    }),
  }),
  changeField('books', 'language', {
    from: required({
      bsonType: ['string', 'null'],
      maxLength: 35,
      pattern: '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\\z',
      description: 'A language tag: en, eng, en-US',
    }),
    to: required({
      bsonType: ['string', 'null'],
      maxLength: 35,
      pattern: '^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*\\z',
      description: 'A language tag (BCP 47): en, pt-BR, zh-Hant',
    }),
  }),
]);
