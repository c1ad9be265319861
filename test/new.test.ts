import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tsImport } from 'tsx/esm/api';
import { nameOf, writeResource } from '../scripts/new/resource.ts';
import type { Route } from '../src/http/route.ts';

/** npm run new */

test('writes a definition, routes and a test that fit together, and overwrites nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'resources-'));
  try {
    const files = await writeResource(folder, 'loans', 'Loan');
    expect(files).toEqual(['loan.ts', 'routes.ts', 'index.ts', 'loans.test.ts']);
    const own = join(folder, 'loans');
    expect((await readdir(own)).toSorted()).toEqual(files.toSorted());
    await expect(writeResource(folder, 'loans', 'Loan')).rejects.toThrow('exists: nothing was written');

    for (const file of files) {
      const source = await readFile(join(own, file), 'utf8');
      await writeFile(join(own, file), source.replaceAll("'../../", `'${process.cwd()}/src/`));
    }
    const index = await tsImport(join(own, 'index.ts'), import.meta.url);
    expect(index.resources).toMatchObject([{ name: 'Loan', collection: 'loans', changes: true }]);
    expect(index.routes().map(({ method, path }: Route) => `${method} ${path}`)).toEqual([
      'get /loans',
      'post /loans',
      'get /loans/{id}',
      'put /loans/{id}',
      'patch /loans/{id}',
      'delete /loans/{id}',
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.each([
  ['loans', 'Loan'],
  ['libraries', 'Library'],
  ['boxes', 'Box'],
  ['classes', 'Class'],
])('%s are each a %s', (collection, name) => {
  expect(nameOf(collection)).toBe(name);
});
