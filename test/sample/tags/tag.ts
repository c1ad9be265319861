import { text } from '../../../src/schema/fields.ts';
import { resource } from '../../../src/schema/resource.ts';

export const Tag = resource('Tag', {
  collection: 'tags',
  description: 'A label for books and posts',
  fields: {
    name: text(1, 60).describe('Unique, ignoring case'),
    description: text(0, 1000).nullable(),
  },
  policy: { read: ['anyone'], create: ['editor'], update: ['editor'], remove: ['editor'] },
  defaults: { description: null },
  indexes: [{ key: { name: 1 }, unique: true }, { key: { createdAt: 1, _id: 1 } }],
  collation: { locale: 'en', strength: 2 },
  changes: true,
  example: { id: '65f000000000000000000a01', name: 'science fiction', description: 'What if?' },
});
