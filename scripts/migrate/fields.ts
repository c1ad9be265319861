import { isDeepStrictEqual } from 'node:util';
import type { JsonSchema } from '../../src/mongo/layout.ts';
import { isLooser } from './looser.ts';
import { keyText, literal, type Source } from './source.ts';

/** A migration in two parts: see skeleton.ts. */
export interface Draft {
  before: Source;
  after: Source;
}

/** A renamed field of a collection. */
export interface Rename {
  collection: string;
  from: string;
  to: string;
}

interface Rule {
  schema: JsonSchema;
  required: boolean;
}

interface Change {
  collection: string;
  field: string;
  from: Rule | undefined;
  to: Rule | undefined;
}

/**
 * Writes the steps that add, change or remove a field. While servers of two versions run, each must be able to store
 * what the other one stores: a rule is first loosened, then tightened once the previous version is gone.
 */
export function writeField(draft: Draft, change: Change, renames: Rename[]): void {
  const { collection, field, from, to } = change;
  const renamed = renames.find((one) => one.collection === collection && [one.from, one.to].includes(field));
  if (from && to) return alter(draft, change, from, to);
  if (to) return add(draft, change, to, renamed);
  if (from) return drop(draft, change, from, renamed);
}

function alter({ before, after }: Draft, change: Change, from: Rule, to: Rule): void {
  if (isLooser(to, from)) return rule(before, change, from, to);
  if (isLooser(from, to)) return rule(after, change, from, to);
  const both = { schema: { anyOf: [from.schema, to.schema] }, required: from.required && to.required };
  rule(before, change, from, both);
  after.comment(`TODO: change the documents whose ${change.field} breaks the new rule, by backfill().`);
  rule(after, change, both, to);
}

/**
 * A new required field: first existing documents get a value, later those that the previous version stored meanwhile.
 */
function add({ before, after }: Draft, change: Change, to: Rule, renamed: Rename | undefined): void {
  const optional = { ...to, required: false };
  rule(before, change, undefined, optional);
  const key = keyText(change.field);
  if (renamed) {
    const [old, now] = [keyText(renamed.from), literal(`$${renamed.from}`)];
    backfill(before, change.collection, [
      `where: { ${old}: { $exists: true }, ${key}: { $exists: false } }`,
      `update: [{ $set: { ${key}: ${now} } }]`,
      'verify: false',
      `down: { where: { ${key}: { $exists: true } }, update: [{ $set: { ${old}: { $ifNull: [${now}, ${literal(`$${change.field}`)}] } } }, { $unset: ${literal(change.field)} }] }`,
    ]);
    // The previous version has only stored the former name; this version writes both.
    backfill(after, change.collection, [
      `where: { ${old}: { $exists: true } }`,
      `update: [{ $set: { ${key}: ${now} } }, { $unset: ${literal(renamed.from)} }]`,
      `down: { where: { ${old}: { $exists: false } }, update: [{ $set: { ${old}: ${literal(`$${change.field}`)} } }] }`,
    ]);
  } else if (to.required) {
    const value = to.schema.bsonType?.includes('null')
      ? 'null'
      : 'TODO /* what documents that lack it get */';
    const fill = [`where: { ${key}: { $exists: false } }`, `update: [{ $set: { ${key}: ${value} } }]`];
    const unset = `where: { ${key}: { $exists: true } }, update: [{ $unset: ${literal(change.field)} }]`;
    backfill(before, change.collection, [...fill, 'verify: false', `down: { ${unset} }`]);
    after.use('documents', 'nothing');
    backfill(after, change.collection, [...fill, 'down: nothing']);
  }
  if (to.required) rule(after, change, optional, to);
}

function drop({ before, after }: Draft, change: Change, from: Rule, renamed: Rename | undefined): void {
  const optional = { ...from, required: false };
  if (from.required) rule(before, change, from, optional);
  const key = keyText(change.field);
  if (!renamed)
    backfill(after, change.collection, [
      `where: { ${key}: { $exists: true } }`,
      `update: [{ $unset: ${literal(change.field)} }]`,
      `down: ${literal(`The values of ${change.field} cannot be restored.`)}`,
    ]);
  rule(after, change, optional, undefined);
}

const backfill = (source: Source, collection: string, parts: string[]): void =>
  source.step('documents', 'backfill', literal(collection), `{ ${parts.join(', ')} }`);

function rule(source: Source, { collection, field }: Change, from?: Rule, to?: Rule): void {
  const say = ({ schema, required }: Rule, name: string): string => {
    const builder = required ? 'required' : 'optional';
    source.use('structure', builder);
    return `${builder}(${source.constant(name, schema)})`;
  };
  const former = to && !isDeepStrictEqual(from?.schema, to.schema) ? `${field}Before` : field;
  const parts = [from && `from: ${say(from, former)}`, to && `to: ${say(to, field)}`].filter(Boolean);
  source.step('structure', 'changeField', literal(collection), literal(field), `{ ${parts.join(', ')} }`);
}
