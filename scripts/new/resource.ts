import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectId } from 'bson';
import { capital } from '../../src/schema/capital.ts';

/** loans → Loan */
export function nameOf(collection: string): string {
  const singular = collection
    .replace(/ies$/, 'y')
    .replace(/(ss|x|ch|sh)es$/, '$1')
    .replace(/([^s])s$/, '$1');
  return capital(singular);
}

/** Writes the folder of a new resource; returns the names of its files. */
export async function writeResource(folder: string, collection: string, name: string): Promise<string[]> {
  const own = join(folder, collection);
  const file = name.charAt(0).toLowerCase() + name.slice(1);
  const id = new ObjectId().toHexString();
  const sources = {
    [`${file}.ts`]: definition(collection, name, id),
    'routes.ts': routes(name, file),
    'index.ts': index(name, file),
    [`${collection}.test.ts`]: test(collection, name, file),
  };
  await mkdir(own).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EEXIST' ? new Error(`${own} exists: nothing was written.`) : error;
  });
  for (const [path, source] of Object.entries(sources)) await writeFile(join(own, path), source);
  return Object.keys(sources);
}

const definition = (collection: string, name: string, id: string): string => `\
import { text } from '../../schema/fields.ts';
import { resource } from '../../schema/resource.ts';

export const ${name} = resource('${name}', {
  collection: '${collection}',
  description: 'TODO: what it is, in a few words',
  fields: {
    title: text(1, 200),
  },
  // TODO: policy: who may read and write it. By default admins only.
  indexes: [{ key: { title: 1, _id: 1 } }],
  changes: true, // in the feed of changes: see docs/changes.md
  example: { id: '${id}', title: 'An example' },
});
`;

const routes = (name: string, file: string): string => `\
import { create, read, remove, replace, update } from '../../http/crud.ts';
import { list } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';
import { ${name} } from './${file}.ts';

export const routes = (): Route[] => [
  list(${name}, { filter: ['title'], sort: ['title'] }),
  create(${name}, { example: { title: 'Another one' } }),
  read(${name}),
  replace(${name}),
  update(${name}, { example: { title: 'A better title' } }),
  remove(${name}, { example: ${name}.example.id }),
];
`;

const index = (name: string, file: string): string => `\
import type { Seed } from '../../seed.ts';
import { ${name} } from './${file}.ts';

export const resources = [${name}];
export { routes } from './routes.ts';
/** Makes the examples of the documentation work. */
export const seeds: Seed[] = [[${name}, [${name}.example]]];
`;

const test = (collection: string, name: string, file: string): string => `\
import { aCaller } from '../../../test/support/callers.ts';
import { stored } from '../../../test/support/factories.ts';
import { useApi } from '../../../test/support/harness.ts';
import { ${name} } from './${file}.ts';

const api = useApi();

test('an admin creates one and reads it', async () => {
  const created = await api.post('/${collection}', { title: 'One' });
  expect(created.status).toBe(201);
  expect((await api.get(\`/${collection}/\${created.body.id}\`)).body).toEqual(created.body);
});

test('a member changes none', async () => {
  const { _id } = await stored(${name});
  const { token } = await aCaller('member');
  const answer = await api.patch(\`/${collection}/\${String(_id)}\`, { title: 'Mine' }, { as: token });
  expect([403, 404]).toContain(answer.status);
});
`;
