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

/** A document as MongoDB is to store it, or why there is none. */
export interface Made {
  document?: Document;
  /** What the row says of it; the rest are defaults. */
  given?: string[];
  reasons: Reason[];
}

/**
 * What a row may say: what the body of a create may and, so that an export goes back in as it was, what else a
 * document shows: its id, its times, and what otherwise only the API's commands write.
 */
export function rowSchema({ body, document, fields, defaults }: AnyResource) {
  const shown = Object.entries(document.partial().shape)
    .filter(([name]) => !(name in body.shape))
    .map(([name, optional]) => [name, name in defaults ? optional : (fields[name] ?? optional)]);
  return body.extend(Object.fromEntries(shown)) as z.ZodObject<Record<string, z.ZodType>>;
}

/** The fields that a column can be: those of a row and, by their paths, those of the objects in it. */
export function fieldsOf(resource: AnyResource): Record<string, z.ZodType> {
  const row = rowSchema(resource);
  return { ...row.shape, ...columnsOf(row) };
}

/** Validates the JSON of a row as the API does a body. */
export function documentMaker(resource: AnyResource): (json: unknown) => Made {
  const schema = byEitherName(rowSchema(resource), resource.formerly);
  // What an export shows of computed fields is made again.
  const storedIn = (data: object) =>
    Object.fromEntries(Object.entries(data).filter(([field]) => !(field in resource.computed)));
  return (json) => {
    const result = schema.safeParse(json, { error: words });
    if (!result.success) return { reasons: bodyFaults(result.error, schema, json).map(toReason) };
    // Without what functions make, so that the same row has the same id the next time.
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
 * The same content gets the same id, wherever it stands in the file, so that a row without a unique key is not stored
 * twice either. They start with zeros, so whatever is made later is newer.
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
