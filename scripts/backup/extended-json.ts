import mongoose from 'mongoose';
import {
  BOOLEAN,
  DATE,
  DOCUMENT,
  DOUBLE,
  eachElement,
  ID,
  INT,
  LIST,
  LONG,
  NULL,
  sizeOf,
  TEXT,
} from '../../src/schema/json/elements.ts';

const { deserialize, EJSON, serialize } = mongoose.mongo.BSON;

/**
 * Canonical Extended JSON straight from BSON: ten times as fast as through objects, and a backup of a large database
 * must finish while MongoDB still keeps the snapshot. Returns undefined for values that would not come back as the
 * same bytes.
 */
export function extendedJson(bytes: Buffer): string | undefined {
  try {
    return fields(bytes, 0);
  } catch (error) {
    if (error === UNSURE) return undefined;
    throw error;
  }
}

const UNSURE = Symbol('may come back as something else');

function fields(bytes: Buffer, at: number): string {
  const names = new Set<string>();
  let text = '';
  eachElement(bytes, at, (type, value, start) => {
    const first = bytes[start] as number;
    const name = bytes.toString('utf8', start, value - 1);
    // Names with a special meaning, that JavaScript would reorder, or that occur twice.
    if (first === DOLLAR || (first >= ZERO && first <= NINE) || name === '__proto__' || names.has(name))
      throw UNSURE;
    names.add(name);
    text += `${text === '' ? '' : ','}${quoted(name)}:${written(bytes, type, value)}`;
  });
  return `{${text}}`;
}

const DOLLAR = 0x24;
const ZERO = 0x30;
const NINE = 0x39;

function entries(bytes: Buffer, at: number): string {
  let count = 0;
  let text = '';
  eachElement(bytes, at, (type, value, start) => {
    if (bytes.toString('latin1', start, value - 1) !== String(count)) throw UNSURE;
    text += `${count++ === 0 ? '' : ','}${written(bytes, type, value)}`;
  });
  return `[${text}]`;
}

function written(bytes: Buffer, type: number, at: number): string {
  switch (type) {
    case TEXT:
      return quoted(bytes.toString('utf8', at + 4, at + 3 + bytes.readInt32LE(at)));
    case ID:
      return `{"$oid":"${bytes.toString('hex', at, at + 12)}"}`;
    case INT:
      return `{"$numberInt":"${bytes.readInt32LE(at)}"}`;
    case LONG:
      return `{"$numberLong":"${bytes.readBigInt64LE(at)}"}`;
    case DOUBLE:
      return double(bytes, at);
    case DATE:
      return `{"$date":{"$numberLong":"${date(bytes, at)}"}}`;
    case BOOLEAN:
      return bytes[at] === 1 ? 'true' : 'false';
    case NULL:
      return 'null';
    case DOCUMENT:
      return fields(bytes, at);
    case LIST:
      return entries(bytes, at);
    default:
      return rare(bytes, type, at);
  }
}

/** The library's result, if parsing it gives the same bytes again. */
function rare(bytes: Buffer, type: number, at: number): string {
  const document = single(bytes, type, at);
  const text = EJSON.stringify(deserialize(document, EXACT), { relaxed: false });
  if (!document.equals(serialize(EJSON.parse(text, { relaxed: false })))) throw UNSURE;
  return text.slice('{"v":'.length, -1);
}

/** Every value keeps its type: 1 and 1.0 are different. */
const EXACT = { promoteValues: false, bsonRegExp: true } as const;

/** One value as the library decodes it. */
export const toValue = (bytes: Buffer, type: number, at: number): unknown =>
  deserialize(single(bytes, type, at), EXACT)['v'];

/** A document with only this value, under the name v. */
function single(bytes: Buffer, type: number, at: number): Buffer {
  const size = sizeOf(bytes, type, at);
  const document = Buffer.alloc(size + 8);
  document.writeInt32LE(document.length, 0);
  document[4] = type;
  document[5] = 118;
  bytes.copy(document, 7, at, at + size);
  return document;
}

/** The replacement character that invalid UTF-8 is decoded to. */
const REPLACEMENT = '\uFFFD';

function quoted(text: string): string {
  if (text.includes(REPLACEMENT)) throw UNSURE;
  return JSON.stringify(text);
}

function double(bytes: Buffer, at: number): string {
  const value = bytes.readDoubleLE(at);
  if (!Number.isFinite(value) || value === 0) return rare(bytes, DOUBLE, at);
  return `{"$numberDouble":"${value}${Number.isSafeInteger(value) ? '.0' : ''}"}`;
}

/** The limit of JavaScript's dates. */
const LAST_DATE = 8_640_000_000_000_000n;

function date(bytes: Buffer, at: number): bigint {
  const time = bytes.readBigInt64LE(at);
  if (time > LAST_DATE || time < -LAST_DATE) throw UNSURE;
  return time;
}
