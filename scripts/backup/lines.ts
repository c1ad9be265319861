import mongoose from 'mongoose';
import { DOCUMENT, eachElement, LIST } from '../../src/schema/json/elements.ts';
import { extendedJson, toValue } from './extended-json.ts';

/** Documents as lines of Extended JSON, so exactly that the same bytes come back. */

const { Binary, EJSON, serialize } = mongoose.mongo.BSON;

/** The line of a document as MongoDB sent it: where its Extended JSON could be taken for something else, its BSON in base64. */
export function toLine(bytes: Buffer): string {
  const line = extendedJson(bytes);
  if (line !== undefined) return line;
  const document = toMap(bytes, 0);
  if (!bytes.equals(serialize(document)))
    throw new Error(
      `${JSON.stringify(document.get('_id'))} has a value that JavaScript cannot hold, such as a date after the year 275760. ` +
        'Change that document, or make the backup with mongodump.',
    );
  return EJSON.stringify(new Binary(bytes), { relaxed: false });
}

export function fromLine(line: string): mongoose.mongo.Document {
  const value = EJSON.parse(line, { relaxed: false }) as mongoose.mongo.Document;
  return value instanceof Binary ? toMap(Buffer.from(value.buffer), 0) : value;
}

/** A document whose fields stay in their order: those of an object called 2 and 1 do not. */
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
