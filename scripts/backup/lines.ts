import mongoose from 'mongoose';

/** Documents as lines of canonical Extended JSON, so exactly that the same bytes come back. */

const { Binary, deserialize, EJSON, serialize } = mongoose.mongo.BSON;

/** Every value keeps its type: 1 and 1.0 are different. */
const EXACT = { promoteValues: false, bsonRegExp: true } as const;
const CANONICAL = { relaxed: false } as const;

/** The line of a document as MongoDB sent it. Throws where JavaScript cannot hold it as it is. */
export function toLine(bytes: Buffer): string {
  const document = deserialize(bytes, EXACT);
  if (!gives(bytes, () => document))
    throw new Error(
      `${JSON.stringify(document['_id'])} has a value that JavaScript cannot hold, such as a date after the year 275760. ` +
        'Change that document, or make the backup with mongodump.',
    );
  const line = EJSON.stringify(document, CANONICAL);
  // The name of a field may have a meaning in Extended JSON, such as $date: then the line is the document's BSON.
  const isPlain = !bytes.includes('$') || gives(bytes, () => fromLine(line));
  return isPlain ? line : EJSON.stringify(new Binary(bytes), CANONICAL);
}

function gives(bytes: Buffer, make: () => mongoose.mongo.Document): boolean {
  try {
    return bytes.equals(serialize(make()));
  } catch {
    return false;
  }
}

export function fromLine(line: string): mongoose.mongo.Document {
  const value = EJSON.parse(line, CANONICAL) as mongoose.mongo.Document;
  return value instanceof Binary ? deserialize(value.buffer, EXACT) : value;
}
