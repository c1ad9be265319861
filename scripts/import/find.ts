import type { Types } from 'mongoose';
import { record } from '../../src/http/audit.ts';
import { comparerOf } from '../../src/mongo/collation.ts';
import { modelOf } from '../../src/schema/model.ts';
import { objectId } from '../../src/schema/fields.ts';
import { type AnyResource, noun } from '../../src/schema/resource.ts';
import { changesOf, operationOf } from '../program.ts';
import type { FieldMap } from './convert.ts';
import { documentMaker } from './document.ts';
import { insert } from './insert.ts';
import type { Reason } from './row.ts';

/** References by a natural key: rows name the target by a field, and its id is looked up in batches. */

interface Lookup {
  field: string;
  target: AnyResource;
  /** The target's field that rows contain. */
  find: string;
  /** Whether missing targets are created. */
  create: boolean;
  /** The ids known so far, by the values in rows. */
  known: Map<string, string>;
}

type Json = Record<string, unknown>;

/** Replaces names in these rows by ids; returns the faults of each row. */
export type Find = (rows: unknown[]) => Promise<Reason[][]>;

export function finder(
  resource: AnyResource,
  map: FieldMap,
  { dryRun, stop }: { dryRun: boolean; stop: AbortSignal },
): Find {
  const lookups = Object.entries(map).flatMap(([field, { find, create = false }]): Lookup[] => {
    const reference = resource.references.find((one) => one.field === field);
    return find && reference ? [{ field, target: reference.target, find, create, known: new Map() }] : [];
  });
  return async (rows) => {
    const reasons = rows.map((): Reason[] => []);
    for (const lookup of lookups) {
      const named = rows.map((row) => namesIn(row, lookup.field));
      const missing = [...new Set(named.flat())].filter((name) => !lookup.known.has(name));
      if (lookup.known.size > MAX_KNOWN) lookup.known.clear();
      if (missing.length > 0) await learn(lookup, missing, { resource, dryRun, stop });
      rows.forEach((row, i) => reasons[i]?.push(...replace(row as Json, named[i] ?? [], lookup)));
    }
    return reasons;
  };
}

const MAX_KNOWN = 100_000;

/** A placeholder id for a dry run, which has no database. */
const NOBODY = '0'.repeat(24);

const namesIn = (row: unknown, field: string): string[] => {
  const value = (row as Json | null)?.[field];
  return [value]
    .flat()
    .filter((name) => typeof name === 'string')
    .map((name) => name.trim())
    .filter(Boolean);
};

function replace(row: Json, names: string[], { field, known, target, find }: Lookup): Reason[] {
  if (names.length === 0) return [];
  const isList = Array.isArray(row[field]);
  const ids = names.map((name) => known.get(name));
  row[field] = isList ? [...new Set(ids.map((id) => id ?? NOBODY))] : (ids[0] ?? NOBODY);
  return names.flatMap((name, i) =>
    ids[i]
      ? []
      : {
          pointer: isList ? `/${field}/${i}` : `/${field}`,
          code: 'reference_not_found',
          message: `there is no ${noun(target)} whose ${find} is ${JSON.stringify(name)}`,
        },
  );
}

interface Surroundings {
  resource: AnyResource;
  dryRun: boolean;
  stop: AbortSignal;
}

async function learn(
  lookup: Lookup,
  names: string[],
  { resource, dryRun, stop }: Surroundings,
): Promise<void> {
  const { target, find, create, known } = lookup;
  if (dryRun) return names.forEach((name) => void known.set(name, NOBODY));
  await look(lookup, names);
  const missing = names.filter((name) => !known.has(name));
  if (!create || missing.length === 0) return;
  const make = documentMaker(target);
  const documents = missing.flatMap((name) => make({ [find]: name }).document ?? []);
  const { ids } = await insert(target, documents, stop);
  await record(operationOf(`import ${resource.collection}`), {
    changes: changesOf(target, 'create', ids),
    events: [],
  });
  await look(lookup, missing);
}

/** Compares as the target's lists do. If several documents have the same name, the oldest is used. */
async function look({ target, find, known }: Lookup, names: string[]): Promise<void> {
  const found = await modelOf(target)
    .find({ [find]: { $in: names } }, { [find]: 1 })
    .sort({ _id: 1 })
    .lean<({ _id: Types.ObjectId } & Json)[]>();
  const compare = comparerOf(target.collation);
  const isSame = (one: unknown, other: string) => typeof one === 'string' && compare?.(one, other) === 0;
  const exact = new Map(found.toReversed().map((document) => [document[find], document]));
  for (const name of names) {
    const match = exact.get(name) ?? found.find((document) => isSame(document[find], name));
    if (match) known.set(name, objectId().encode(match._id));
  }
}
