import { inspect } from 'node:util';
import { type Difference, isSame } from '../../src/mongo/differences.ts';
import { type IndexLayout, type JsonSchema, nameOf } from '../../src/mongo/layout.ts';

/** The source of a migration that makes a database what the definitions say. */
export function skeleton(name: string, differences: Difference[]): string {
  const source = newSource();
  for (const difference of differences) if (!isOfView(difference)) write(source, difference);
  return source.toText(name);
}

/** Views are made anew whenever migrations are applied. */
export const isOfView = (difference: Difference): boolean =>
  difference.what === 'view' ||
  (difference.what === 'collection' && (difference.wanted ?? difference.found)?.view !== undefined);

type Source = ReturnType<typeof newSource>;

/** The source as it grows. */
function newSource() {
  const used: Record<string, Set<string>> = {};
  const constants: Record<string, string> = {};
  const steps: string[] = [];
  const use = (module: string, builder: string): void => {
    used[module] = (used[module] ?? new Set()).add(builder);
  };
  return {
    use,
    /** A call of a builder. */
    step(module: 'structure' | 'documents', builder: string, ...args: string[]): void {
      use(module, builder);
      steps.push(`${builder}(${args.join(', ')}),`);
    },
    comment(line: string): void {
      steps.push(`// ${line}`);
    },
    /** A constant, so that a schema that two steps need stands there once; answers its name. */
    constant(name: string, value: JsonSchema): string {
      const text = literal(value);
      let free = name;
      for (let n = 2; (constants[free] ?? text) !== text; n++) free = `${name}${n}`;
      constants[free] = text;
      return free;
    },
    toText(name: string): string {
      use('migration', 'migration');
      const imports = Object.keys(used)
        .toSorted(alphabetically)
        .map((module) => {
          const names = [...(used[module] ?? [])].toSorted(alphabetically);
          return `import { ${names.join(', ')} } from '../mongo/migrate/${module}.ts';`;
        });
      const values = Object.entries(constants).map(([name, value]) => `const ${name} = ${value};`);
      const lines = steps.length > 0 ? steps : ['// The database is as the definitions say.'];
      const value = name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
      const body = `export const ${value} = migration(import.meta.url, [\n${lines.join('\n')}\n]);`;
      return [imports.join('\n'), ...values, body].join('\n\n');
    },
  };
}

const alphabetically = (a: string, b: string): number => (a < b ? -1 : 1);

function write(source: Source, difference: Difference): void {
  const { what, collection } = difference;
  const target = literal(collection);
  switch (what) {
    case 'collection': {
      const { wanted } = difference;
      if (!wanted) return source.comment(`The collection ${collection} is in no definition.`);
      const indexes = Object.entries(wanted.indexes).map(([name, index]) => withName(name, index));
      const layout = literal({ ...wanted, indexes });
      return source.step('structure', 'createCollection', target, layout);
    }
    case 'index': {
      const { name, wanted, found } = difference;
      if (found) source.step('structure', 'dropIndex', target, literal(withName(name, found)));
      if (wanted) source.step('structure', 'createIndex', target, literal(withName(name, wanted)));
      return;
    }
    case 'view':
      return;
    case 'validator':
      return writeValidator(source, collection, difference.found ?? {}, difference.wanted ?? {});
    case 'images':
      return source.step('structure', difference.wanted ? 'keepImages' : 'dropImages', target);
    case 'validation':
      return source.comment(`The validator of ${collection} is not enforced; changing it makes it so.`);
    case 'collation':
      return source.comment(
        `The collation of ${collection} cannot change: make a new collection, and move the documents.`,
      );
  }
}

const withName = (name: string, index: IndexLayout) => ({
  ...(name !== nameOf(index.key) && { name }),
  ...index,
});

function writeValidator(source: Source, collection: string, found: JsonSchema, wanted: JsonSchema): void {
  const { properties: before = {}, required: requiredBefore = [], ...restBefore } = found;
  const { properties: after = {}, required: requiredAfter = [], ...restAfter } = wanted;
  if (!isSame(restBefore, restAfter))
    return source.step(
      'structure',
      'changeValidator',
      literal(collection),
      `{ from: ${literal(found)}, to: ${literal(wanted)} }`,
    );
  for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const from = rule(before[field], requiredBefore.includes(field));
    const to = rule(after[field], requiredAfter.includes(field));
    if (!isSame(from, to)) writeField(source, collection, field, from, to);
  }
}

interface Rule {
  schema: JsonSchema;
  required: boolean;
}

const rule = (schema: JsonSchema | undefined, required: boolean): Rule | undefined =>
  schema && { schema, required };

/** A field that all documents must have comes in three steps, and goes in three. */
function writeField(source: Source, collection: string, field: string, from?: Rule, to?: Rule): void {
  const target = literal(collection);
  const key = literal({ [field]: 0 })
    .replace(/: 0 }$/, '')
    .replace(/^{ /, '');
  const change = (from?: string, to?: string) =>
    source.step(
      'structure',
      'changeField',
      target,
      literal(field),
      `{ ${[from && `from: ${from}`, to && `to: ${to}`].filter(Boolean).join(', ')} }`,
    );
  const say = ({ required }: Rule, constant: string): string => {
    const builder = required ? 'required' : 'optional';
    source.use('structure', builder);
    return `${builder}(${constant})`;
  };
  const constant = (name: string, { schema }: Rule) => source.constant(name.replace(/\W/g, '_'), schema);

  if (from && to) {
    change(say(from, constant(`${field}Before`, from)), say(to, constant(field, to)));
  } else if (to?.required) {
    const schema = constant(field, to);
    const value = to.schema.bsonType?.includes('null')
      ? 'null'
      : 'TODO /* what documents that lack it get */';
    change(undefined, say({ ...to, required: false }, schema));
    source.step(
      'documents',
      'backfill',
      target,
      `{ where: { ${key}: { $exists: false } }, update: [{ $set: { ${key}: ${value} } }], ` +
        `down: { where: { ${key}: { $exists: true } }, update: [{ $unset: ${literal(field)} }] } }`,
    );
    change(say({ ...to, required: false }, schema), say(to, schema));
  } else if (from?.required) {
    const schema = constant(field, from);
    change(say(from, schema), say({ ...from, required: false }, schema));
    source.step(
      'documents',
      'backfill',
      target,
      `{ where: { ${key}: { $exists: true } }, update: [{ $unset: ${literal(field)} }], ` +
        `down: 'The values of ${field} are gone.' }`,
    );
    change(say({ ...from, required: false }, schema));
  } else {
    const only = (from ?? to) as Rule;
    const text = say(only, constant(field, only));
    change(from && text, to && text);
  }
}

/** As TypeScript writes it; the formatter does the rest. */
const literal = (value: unknown): string =>
  inspect(value, { depth: null, breakLength: 100, maxArrayLength: null, maxStringLength: null });
