import mongoose from 'mongoose';
import { DOCUMENT, eachElement, LIST } from '../../src/schema/json/elements.ts';
import { extendedJson, toValue } from './extended-json.ts';

/** Documents as lines of Extended JSON that restore to exactly the same bytes. */

const { Binary, EJSON, serialize } = mongoose.mongo.BSON;

/** The line of a document: Extended JSON, or its BSON in base64 if that would be ambiguous. */
export function toLine(bytes: Buffer): string {
  const line = extendedJson(bytes);
  if (line !== undefined) return line;
  const document = toMap(bytes, 0);
  if (!bytes.equals(serialize(document)))
    throw new Error(
      `${JSON.stringify(document.get('_id'))} has a value that JavaScript cannot represent, such as a date after the year 275760. ` +
        'Change that document, or make the backup with mongodump.',
    );
  return EJSON.stringify(new Binary(bytes), { relaxed: false });
}

export function fromLine(line: string): mongoose.mongo.Document {
  const value = EJSON.parse(line, { relaxed: false }) as mongoose.mongo.Document;
  return value instanceof Binary ? toMap(Buffer.from(value.buffer), 0) : value;
}

/** Keeps the order of fields: JavaScript objects would reorder fields named 2 and 1. */
function toMap(bytes: Buffer, at: number): Map<string, unknown> {
  const map = new Map<string, unknown>();
  eachElement(bytes, at, (type, value, name) =>
    map.set(bytes.toString('utf8', name, value - 1), valueAt(bytes, type, value)),
  );
  return map;
}

function valueAt(bytes: Buffer, type: number, at: number): unknown {
  if (type === DOCUMENT) return toMap(bytes, at);
  if (type === LIST) return [...toMap(bytes, at).values()];
  return toValue(bytes, type, at);
}
