import { create, read, replace, update } from '../src/http/crud.ts';
import { text } from '../src/schema/fields.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import { liftRules } from './support/database.ts';
import { useApi } from './support/harness.ts';

const Edition = resource('Edition', {
  collection: 'editions',
  description: 'A book as it was printed',
  fields: { imprint: text(1, 100), place: text(1, 100) },
  renamed: { imprint: 'publisher' },
  example: { id: '65f000000000000000000e01', imprint: 'Ace', place: 'New York' },
});
connect([Edition as AnyResource]);
const api = useApi({
  resources: [Edition as AnyResource],
  routes: [
    create(Edition, { example: { imprint: 'Ace', place: 'New York' } }),
    read(Edition),
    replace(Edition),
    update(Edition, { example: { place: 'Boston' } }),
  ],
});

test.each([
  ['PATCH', { imprint: 'Tor' }],
  ['PUT', { imprint: 'Tor', place: 'Boston' }],
])(
  'a %s of a field removes what is stored by its former name; another field leaves it',
  async (method, change) => {
    const { body } = await api.post('/editions', { imprint: 'Ace', place: 'New York' });
    await liftRules(modelOf(Edition));
    const { collection } = modelOf(Edition);
    // A server of the version before has changed it meanwhile.
    await collection.updateOne({}, { $set: { publisher: 'Ballantine' } });
    await api.patch(`/editions/${body.id}`, { place: 'Boston' });
    expect(await collection.findOne()).toMatchObject({ publisher: 'Ballantine' });
    expect((await api.call(method, `/editions/${body.id}`, { body: change })).status).toBe(200);
    const stored = await collection.findOne();
    expect([stored?.imprint, stored && 'publisher' in stored]).toEqual(['Tor', false]);
  },
);

test('a former name is one that no field has', () => {
  expect(() =>
    resource('Odd', {
      collection: 'odd',
      description: 'Odd',
      fields: { a: text(1, 9), b: text(1, 9) },
      renamed: { a: 'b' },
      example: { id: '65f000000000000000000e01', a: 'a', b: 'b' },
    }),
  ).toThrow('renamed.a is the former name of the field');
});
