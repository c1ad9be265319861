import { createRequire } from 'node:module';
import type * as bson from 'bson';

// The same copy of bson as the driver's: `import` would load another one.
const { deserialize } = createRequire(import.meta.url)('bson') as typeof bson;

/**
 * Reads BSON documents (https://bsonspec.org/spec.html) in place: an element is a byte for its type, its name, which
 * ends with a zero byte, and its value.
 */

export const DOUBLE = 1;
export const TEXT = 2;
export const DOCUMENT = 3;
export const LIST = 4;
export const UNDEFINED = 6;
export const ID = 7;
export const BOOLEAN = 8;
export const DATE = 9;
export const NULL = 10;
export const INT = 16;
export const LONG = 18;
/** No BSON type: the document lacks the field. */
export const MISSING = 0;

/** The length of a value of this type in bytes. Throws for an unknown type, which MongoDB never sends. */
export function sizeOf(bytes: Buffer, type: number, at: number): number {
  switch (type) {
    case DOCUMENT:
    case LIST:
      return bytes.readInt32LE(at);
    case TEXT:
    case 13: // code
    case 14: // symbol
      return 4 + bytes.readInt32LE(at);
    case ID:
      return 12;
    case INT:
      return 4;
    case DOUBLE:
    case DATE:
    case LONG:
    case 17: // timestamp
      return 8;
    case BOOLEAN:
      return 1;
    case NULL:
    case UNDEFINED:
    case 127: // the greatest key
    case 255: // the least key
      return 0;
    case 5: // binary
      return 5 + bytes.readInt32LE(at);
    case 11: // regular expression: two texts that end with a zero byte
      return bytes.indexOf(0, bytes.indexOf(0, at) + 1) + 1 - at;
    case 12: // pointer
      return 16 + bytes.readInt32LE(at);
    case 15: // code with a scope
      return bytes.readInt32LE(at);
    case 19: // decimal
      return 16;
    default:
      throw new Error(`A stored document has a value of the unknown type ${type}.`);
  }
}

/** Calls back for each element of a document or list, with its type and the positions of its value and name. */
export function eachElement(
  bytes: Buffer,
  at: number,
  found: (type: number, at: number, name: number) => void,
): void {
  let next = at + 4;
  for (;;) {
    const type = bytes[next++] as number;
    if (type === 0) return;
    const name = next;
    // Beyond its end a document that was cut off has neither a zero byte nor a type.
    while (bytes[next++]);
    found(type, next, name);
    next += sizeOf(bytes, type, next);
  }
}

/** Whether an element's name is this one. */
export function isNamed(bytes: Buffer, at: number, name: Buffer): boolean {
  for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return false;
  return bytes[at + name.length] === 0;
}

/** Calls back for each value at a path; in a list, for each entry. */
export function eachValue(
  bytes: Buffer,
  path: readonly Buffer[],
  found: (type: number, at: number) => void,
  at = 0,
  depth = 0,
): void {
  const visit = (type: number, value: number): void => {
    if (type === LIST) eachElement(bytes, value, visit);
    else if (depth === path.length - 1) found(type, value);
    else if (type === DOCUMENT) eachValue(bytes, path, found, value, depth + 1);
  };
  eachElement(bytes, at, (type, value, name) => {
    if (isNamed(bytes, name, path[depth] as Buffer)) visit(type, value);
  });
}

/** A whole document as the driver decodes it. */
export const toObject = (bytes: Buffer, at = 0): Record<string, any> =>
  deserialize(bytes.subarray(at, at + bytes.readInt32LE(at)), { validation: { utf8: false } });

/** The value of a field, as the driver decodes it; undefined if it is missing. */
export function valueOf(bytes: Buffer, at: number, field: string): unknown {
  const names = Buffer.from(field);
  let value: unknown;
  eachElement(bytes, at, (type, place, name) => {
    if (isNamed(bytes, name, names)) value = toValue(bytes, type, place);
  });
  return value;
}

/** One value as the driver decodes it. */
export function toValue(bytes: Buffer, type: number, at: number): unknown {
  const size = sizeOf(bytes, type, at);
  const document = Buffer.alloc(size + 8);
  document.writeInt32LE(document.length, 0);
  document[4] = type;
  document[5] = 118; // its name: v
  bytes.copy(document, 7, at, at + size);
  return toObject(document)['v'];
}
