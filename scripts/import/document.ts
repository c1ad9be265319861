import { createHash } from 'node:crypto';
import { Types } from 'mongoose';
import type { z } from 'zod';
import type { Fault } from '../../src/errors.ts';
import { bodyFaults } from '../../src/http/input.ts';
import { columnsOf } from '../../src/schema/columns.ts';
import { constantsOf, withDefaults } from '../../src/schema/defaults.ts';
import { byEitherName } from '../../src/schema/renamed.ts';
import type { AnyResource } from '../../src/schema/resource.ts';
import { brokenRules, faultsOf } from '../../src/schema/rules.ts';
import { words } from '../../src/schema/words.ts';
import type { Reason } from './row.ts';

export type Document = { _id: Types.ObjectId } & Record<string, unknown>;

/** A document for MongoDB, or the reasons why there is none. */
export interface Made {
  document?: Document;
  /** The fields from the row; the others are defaults. */
  given?: string[];
  reasons: Reason[];
}

/**
 * The fields of a row: those of a create's body and, so that an export can be imported unchanged, the others that a
 * document shows: its id, its times, and fields that only commands of the API write.
 */
export function rowSchema({ body, document, fields, defaults }: AnyResource) {
  const shown = Object.entries(document.partial().shape)
    .filter(([name]) => !(name in body.shape))
    .map(([name, optional]) => [name, name in defaults ? optional : (fields[name] ?? optional)]);
  return body.extend(Object.fromEntries(shown)) as z.ZodObject<Record<string, z.ZodType>>;
}

/** The possible columns: the fields of a row, and the fields inside objects by their paths. */
export function fieldsOf(resource: AnyResource): Record<string, z.ZodType> {
  const row = rowSchema(resource);
  return { ...row.shape, ...columnsOf(row) };
}

/** Validates the JSON of a row as the API validates a body. */
export function documentMaker(resource: AnyResource): (json: unknown) => Made {
  const schema = byEitherName(rowSchema(resource), resource.formerly);
  // Computed fields of an export are ignored.
  const storedIn = (data: object) =>
    Object.fromEntries(Object.entries(data).filter(([field]) => !(field in resource.computed)));
  return (json) => {
    const result = schema.safeParse(json, { error: words });
    if (!result.success) return { reasons: bodyFaults(result.error, schema, json).map(toReason) };
    // Without computed defaults, so that the same row gets the same id next time.
    const content: Record<string, unknown> = { ...constantsOf(resource), ...storedIn(result.data) };
    const now = new Date();
    const { id = contentId(resource, content), createdAt = now, updatedAt = now, ...given } = content;
    const fields = withDefaults(resource, given);
    const document = { _id: id as Types.ObjectId, ...fields, createdAt, updatedAt };
    const broken = brokenRules(resource, document);
    if (broken.length > 0) return { reasons: faultsOf(broken).map(toReason) };
    return { document, given: Object.keys(storedIn(result.data)), reasons: [] };
  };
}

export const toReason = ({ pointer = '', code, message }: Fault): Reason => ({ pointer, code, message });

/**
 * Derives an id from the content, so that a row without a unique key is not stored twice, wherever it is in the file.
 * These ids start with zeros, so later ones are newer.
 */
function contentId({ collection }: AnyResource, content: object): Types.ObjectId {
  const id = createHash('sha256')
    .update(`${collection}\n${JSON.stringify(content, sortKeys)}`)
    .digest();
  id.writeUInt32BE(0);
  return new Types.ObjectId(id.subarray(0, 12));
}

const sortKeys = (_key: string, value: unknown): unknown =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;
