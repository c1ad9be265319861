import { z } from 'zod';
import { modelOf } from '../../schema/model.ts';
import { restrict, visible } from '../../schema/policy.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { timeFor } from '../paging.ts';
import { type Groupable, type Key, shownKey } from './keys.ts';
import { FUNCTIONS, type Measure } from './measures.ts';
import type { Row } from './pipeline.ts';

/** The shape of groups in answers. */

type Item = { key: Record<string, any> } & Record<string, any>;

export function itemOf(row: Row, keys: Key[], shown: Measure[]): Item {
  const item: Item = {
    key: Object.fromEntries(keys.map((key, i) => [key.field, shownKey(key, row['_id'][`k${i}`])])),
  };
  for (const measure of shown) {
    const value = measure.shown(row[measure.alias]);
    if (measure.field === '') item[measure.function] = value;
    else (item[measure.function] ??= {})[measure.field] = value;
  }
  return item;
}

/** Replaces ids by documents, as far as the caller may see them. */
export async function includeKeys(keys: Key[], paths: string[] = [], items: Item[]): Promise<void> {
  for (const { field, reference } of keys) {
    if (!reference || !paths.includes(field)) continue;
    const { target } = reference;
    const ids = items.map(({ key }) => key[field]).filter((id) => id !== null);
    const found = await modelOf(target)
      .find(restrict({ _id: { $in: ids } }, visible(target)), null, { maxTimeMS: timeFor([]) })
      .lean<{ _id: unknown }[]>();
    const byId = new Map(found.map((document) => [String(document._id), document]));
    for (const { key } of items) key[field] = byId.get(String(key[field])) ?? key[field];
  }
}

export function answerOf(
  { name, collection }: AnyResource,
  known: [string, Groupable][],
  measures: Measure[],
): z.ZodType {
  const optional = (entries: [string, z.ZodType][]) =>
    z.strictObject(Object.fromEntries(entries.map(([key, schema]) => [key, schema.optional()])));
  const functions = [...new Set(measures.map((measure) => measure.function))];
  const told = functions.map((one): [string, z.ZodType] => {
    const of = measures.filter((measure) => measure.function === one);
    const [{ field, schema }] = of as [Measure];
    const values = () => optional(of.map((measure) => [measure.field, measure.schema]));
    return [one, field === '' ? schema : values().describe(FUNCTIONS[one]?.words ?? '')];
  });
  const key = optional(known.map(([field, { schema }]) => [field, schema])).describe(
    'The values that its documents have in common',
  );
  const item = z
    .strictObject({ key, ...optional(told).shape })
    .meta({ id: `${name}Group`, description: `${collection} with the same values` });
  return z
    .strictObject({
      items: z.array(item).describe('In the requested order'),
      page: z
        .strictObject({
          limit: z.int().describe('The maximum number of items per page'),
          offset: z.int().describe('How many groups precede this page'),
          total: z.int().describe('The number of groups on all pages'),
        })
        .meta({ id: 'GroupPage', description: 'The position of this page' }),
    })
    .meta({ id: `${name}Groups`, description: `Groups of ${collection}` });
}
