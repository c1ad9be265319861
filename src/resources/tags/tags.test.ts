import { stored } from '../../../test/support/factories.ts';
import { useApi } from '../../../test/support/harness.ts';
import { modelOf } from '../../schema/model.ts';
import { Tag } from './tag.ts';

const api = useApi();

let count = 0;
const aTag = (overrides: object = {}) => stored(Tag, { name: `tag ${++count}`, ...overrides });

const fiction = { name: 'Science Fiction', description: 'What if?' };

test('a created tag is stored as it was sent and can be read where Location says', async () => {
  const created = await api.post('/tags', fiction);
  expect(created.status).toBe(201);
  expect(created.body).toMatchObject(fiction);
  const read = await api.get(created.headers.get('location') as string);
  expect(read.body).toEqual(created.body);
  expect(await modelOf(Tag).countDocuments({ _id: created.body.id, ...fiction })).toBe(1);
});

test('the description may be left out, null or empty, which are not the same', async () => {
  const { body: without } = await api.post('/tags', { name: 'a' });
  const { body: withNull } = await api.post('/tags', { name: 'b', description: null });
  const { body: empty } = await api.post('/tags', { name: 'c', description: '' });
  expect([without, withNull, empty].map((tag) => tag.description)).toEqual([null, null, '']);
});

test('PUT replaces, PATCH changes what it names, DELETE removes', async () => {
  const { body: tag } = await api.post('/tags', fiction);
  const path = `/tags/${tag.id}`;
  const patched = await api.patch(path, { name: 'sf' });
  expect([patched.status, patched.body.name, patched.body.description]).toEqual([200, 'sf', 'What if?']);
  const replaced = await api.put(path, { name: 'SF' });
  expect([replaced.status, replaced.body.name, replaced.body.description]).toEqual([200, 'SF', null]);
  expect((await api.delete(path)).status).toBe(204);
  for (const method of ['GET', 'DELETE']) expect((await api.call(method, path)).status).toBe(404);
  expect((await api.put(path, fiction)).status).toBe(404);
  expect((await api.patch(path, fiction)).status).toBe(404);
  expect(await modelOf(Tag).countDocuments()).toBe(0);
});

test.each(['science fiction', 'SCIENCE FICTION', 'sCIENCE fICTION'])(
  'the name %s is taken while there is Science Fiction; the answer does not repeat it',
  async (name) => {
    await aTag(fiction);
    const other = await aTag({ name: 'other' });
    for (const { status, body } of [
      await api.post('/tags', { name }),
      await api.put(`/tags/${other._id}`, { name }),
      await api.patch(`/tags/${other._id}`, { name }),
    ]) {
      expect([status, body.code]).toEqual([409, 'duplicate_key']);
      expect(body.errors).toMatchObject([{ in: 'body', pointer: '/name', code: 'duplicate' }]);
      expect(JSON.stringify(body).toLowerCase()).not.toContain('fiction');
    }
    expect((await modelOf(Tag).distinct('name')).sort()).toEqual(['Science Fiction', 'other']);
  },
);

test('names that differ in more than case are different; a tag may change the case of its own', async () => {
  const tag = await aTag({ name: 'resume' });
  expect((await api.post('/tags', { name: 'résumé' })).status).toBe(201);
  expect((await api.post('/tags', { name: 'resume ' })).status).toBe(201);
  expect((await api.patch(`/tags/${tag._id}`, { name: 'Resume' })).status).toBe(200);
});

test('of ten clients that create the same tag at once, one succeeds', async () => {
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, i) => api.post('/tags', { name: i % 2 ? 'Race' : 'race' })),
  );
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  expect(answers.filter(({ status }) => status === 409)).toHaveLength(9);
  expect(await modelOf(Tag).countDocuments()).toBe(1);
});

test.each<[string, object, string, string]>([
  ['a blank name', { name: '  ' }, '/name', 'blank'],
  ['an empty name', { name: '' }, '/name', 'too_short'],
  ['a name of 61 characters', { name: '🏷'.repeat(61) }, '/name', 'too_long'],
  ['a name that is null', { name: null }, '/name', 'invalid_type'],
  ['a name that is an operator', { name: { $gt: '' } }, '/name', 'invalid_type'],
  ['a name that is an array', { name: ['a'] }, '/name', 'invalid_type'],
  ['a NUL in the description', { description: '\0' }, '/description', 'invalid_text'],
  ['a description of 1,001 characters', { description: 'a'.repeat(1001) }, '/description', 'too_long'],
  ['a description that is a number', { description: 1 }, '/description', 'invalid_type'],
])('%s is refused by POST, PUT and PATCH', async (_, fault, pointer, code) => {
  const tag = await aTag();
  for (const { status, body } of [
    await api.post('/tags', { ...fiction, ...fault }),
    await api.put(`/tags/${tag._id}`, { ...fiction, ...fault }),
    await api.patch(`/tags/${tag._id}`, fault),
  ]) {
    expect([status, body.code]).toEqual([422, 'validation_failed']);
    expect(body.errors).toEqual([{ in: 'body', pointer, code, message: expect.any(String) }]);
  }
  expect(await modelOf(Tag).distinct('name')).toEqual([tag.name]);
});

test('tags are sorted and filtered whatever their case', async () => {
  for (const name of ['banana', 'Cherry', 'apple', 'Date', 'Éclair', 'fig']) await aTag({ name });
  const names = async (query: string) =>
    (await api.get(`/tags?${query}`)).body.items.map((tag: { name: string }) => tag.name);
  const sorted = ['apple', 'banana', 'Cherry', 'Date', 'Éclair', 'fig'];
  expect(await names('sort=name')).toEqual(sorted);
  expect(await names('sort=-name')).toEqual(sorted.toReversed());
  expect(await names('name=CHERRY')).toEqual(['Cherry']);
  expect(await names('name=eclair')).toEqual([]);
});

test('a page of tags goes on after its cursor whatever their case', async () => {
  for (const name of ['b', 'A', 'D', 'c']) await aTag({ name });
  const { body: first } = await api.get('/tags?sort=name&limit=2');
  const { body: second } = await api.get(`/tags?sort=name&limit=2&after=${first.page.next}`);
  expect([...first.items, ...second.items].map((tag) => tag.name)).toEqual(['A', 'b', 'c', 'D']);
  expect(second.page.next).toBeNull();
});
