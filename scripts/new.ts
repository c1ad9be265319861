import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { nameOf, writeResource } from './new/resource.ts';

const USAGE = `Usage: npm run new -- COLLECTION [--name NAME]

Writes the folder of a new resource, src/resources/COLLECTION: a definition, routes and a test. Overwrites nothing.

  COLLECTION    the path of its URLs and its collection: a plural in lower case, such as loans
  --name NAME   its name in the singular, such as Loan; derived from COLLECTION by default`;

// Without program.ts, which loads the resources: an unfinished one must not prevent the creation of another.
try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { name: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit();
  }
  const [collection = '', ...more] = positionals;
  if (more.length > 0 || !/^[a-z][a-z0-9]*$/.test(collection)) throw new Error(USAGE);
  const folder = fileURLToPath(new URL('../src/resources', import.meta.url));
  const name = values.name ?? nameOf(collection);
  const files = await writeResource(folder, collection, name);
  console.log(`Wrote src/resources/${collection}: ${files.join(', ')}.

1. Resolve the TODOs, and fill in fields, policy and indexes: docs/definitions.md describes every part of a definition.
2. Register it with a line in src/resources/index.ts:
     export * as ${collection} from './${collection}/index.ts';
3. Write and apply its migration:
     npm run migrate -- new add-${collection}
     npm run migrate -- up
4. npm test -- ${collection}`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}
