import type { z } from 'zod';
import { hiddenOf } from '../access.ts';
import { computations } from '../computed.ts';
import { absent } from '../fields.ts';
import { governing, inside, ofNull, restrictionOf, type Shape, shapeOf } from '../shape.ts';
import * as bson from './elements.ts';
import * as out from './output.ts';
import { additions, type View } from './view.ts';

/**
 * Compiles an answer's schema into a function that writes a stored document as JSON from its bytes: the same as
 * JSON.stringify() of shapeOf(), without creating an object. Only values of unexpected types go through shapeOf().
 */

/**
 * Writes a value, and says whether it wrote anything. `view` and `hidden` belong to the document that contains the
 * value.
 */
type Writer = (
  bytes: Buffer,
  type: number,
  at: number,
  view: View,
  hidden: ReadonlySet<string> | undefined,
) => boolean;

/** Writes the document that begins at `at`. */
export type DocumentWriter = (bytes: Buffer, at: number, view: View) => void;

/** The writer for documents of this schema. */
export function writerOf(schema: z.ZodObject): DocumentWriter {
  const write = valueWriter(schema, '');
  return (bytes, at, view) => {
    write(bytes, bson.DOCUMENT, at, view, undefined);
  };
}

/** `path` is the value's path in its document, if it has one. */
function valueWriter(schema: z.core.$ZodType, path: string | undefined): Writer {
  const shape = shapeOf(schema);
  const def = (schema as z.ZodType).def as z.core.$ZodTypes['_zod']['def'];
  switch (def.type) {
    case 'object':
      return objectWriter(def.shape, 'id' in def.shape ? '' : path, shape);
    case 'array':
      return listWriter(valueWriter(def.element, path), shape);
    case 'nullable':
    case 'optional':
      return valueWriter(def.innerType, path);
    case 'union':
      return 'discriminator' in def
        ? kindWriter(def as z.core.$ZodDiscriminatedUnionDef, shape)
        : referenceWriter(def.options, path, shape);
    case 'record':
      return mapWriter(valueWriter(def.valueType, undefined), shape);
    default:
      return scalarWriter(shape);
  }
}

/** For values that do not match their schema, and for rare kinds. */
function writeOther(
  shape: Shape,
  bytes: Buffer,
  type: number,
  at: number,
  hidden?: ReadonlySet<string>,
): boolean {
  const text = JSON.stringify(shape(bson.toValue(bytes, type, at), hidden));
  if (text === undefined) return false;
  out.json(text);
  return true;
}

const scalarWriter =
  (shape: Shape): Writer =>
  (bytes, type, at) => {
    switch (type) {
      case bson.TEXT:
        out.text(bytes, at + 4, at + 3 + bytes.readInt32LE(at));
        return true;
      case bson.INT:
        out.json(String(bytes.readInt32LE(at)));
        return true;
      case bson.DOUBLE: {
        const value = bytes.readDoubleLE(at);
        out.json(Number.isFinite(value) ? String(value) : 'null');
        return true;
      }
      case bson.BOOLEAN:
        out.json(bytes[at] ? 'true' : 'false');
        return true;
      case bson.DATE:
        out.time(bytes.readInt32LE(at + 4) * 2 ** 32 + bytes.readUInt32LE(at));
        return true;
      case bson.ID:
        out.id(bytes, at);
        return true;
      case bson.NULL:
        out.json('null');
        return true;
    }
    return writeOther(shape, bytes, type, at);
  };

const COMMA = 44;

const listWriter =
  (write: Writer, shape: Shape): Writer =>
  (bytes, type, at, view, hidden) => {
    if (type !== bson.LIST) return writeOther(shape, bytes, type, at, hidden);
    out.char(91);
    let isFirst = true;
    bson.eachElement(bytes, at, (type, at) => {
      if (!isFirst) out.char(COMMA);
      isFirst = false;
      if (!write(bytes, type, at, view, hidden)) out.json('null');
    });
    out.char(93);
    return true;
  };

/** JavaScript sorts property names that look like numbers before others. */
const [ZERO, NINE] = [48, 57];

const mapWriter =
  (write: Writer, shape: Shape): Writer =>
  (bytes, type, at, view) => {
    if (type !== bson.DOCUMENT) return writeOther(shape, bytes, type, at);
    const mark = out.written();
    let isOrdered = true;
    out.char(123);
    let isFirst = true;
    bson.eachElement(bytes, at, (type, at, name) => {
      const first = bytes[name] as number;
      if (first >= ZERO && first <= NINE) isOrdered = false;
      const before = out.written();
      if (!isFirst) out.char(COMMA);
      out.text(bytes, name, at - 1);
      out.char(58);
      if (type !== bson.UNDEFINED && write(bytes, type, at, view, undefined)) isFirst = false;
      else out.rewind(before);
    });
    out.char(125);
    if (isOrdered) return true;
    out.rewind(mark);
    return writeOther(shape, bytes, type, at);
  };

/** A union of objects, told apart by a member. */
function kindWriter({ discriminator, options }: z.core.$ZodDiscriminatedUnionDef, shape: Shape): Writer {
  const writers = new Map(
    options.flatMap((option) => {
      const write = valueWriter(option, undefined);
      return Array.from(option._zod.propValues?.[discriminator] ?? [], (value) => [value, write] as const);
    }),
  );
  const name = Buffer.from(discriminator);
  return (bytes, type, at, view, hidden) => {
    if (type === bson.DOCUMENT) {
      let kind: unknown;
      bson.eachElement(bytes, at, (type, at, start) => {
        if (bson.isNamed(bytes, start, name)) kind = bson.toValue(bytes, type, at);
      });
      const write = writers.get(kind as string);
      if (write) return write(bytes, type, at, view, hidden);
    }
    return writeOther(shape, bytes, type, at, hidden);
  };
}

/** An id, or the joined document in its place. */
function referenceWriter(
  options: readonly z.core.$ZodType[],
  path: string | undefined,
  shape: Shape,
): Writer {
  const object = options.find(({ _zod }) => _zod.def.type === 'object');
  const document = object && valueWriter(object, '');
  return (bytes, type, at, view, hidden) => {
    const joined = path === undefined ? undefined : view.joined?.get(path);
    const found = joined && joined.documents.get(joinKey(bytes, type, at) ?? '');
    if (found && document) return document(found, bson.DOCUMENT, 0, joined.view, undefined);
    if (type !== bson.ID) return writeOther(shape, bytes, type, at, hidden);
    out.id(bytes, at);
    return true;
  };
}

/** The key of a joined document: its id, even if another tool stored it as a string. */
export function joinKey(bytes: Buffer, type: number, at: number): string | undefined {
  if (type === bson.ID) return bytes.toString('latin1', at, at + 12);
  if (type !== bson.TEXT || bytes.readInt32LE(at) !== 25) return undefined;
  const hex = bytes.toString('latin1', at + 4, at + 28);
  return /^[0-9a-f]{24}$/i.test(hex) ? Buffer.from(hex, 'hex').toString('latin1') : undefined;
}

interface Member {
  name: string;
  /** `"name":` */
  label: Buffer;
  write: Writer;
  /** Written if the document lacks it or has null. */
  absent: Buffer | undefined;
  ofNull: Buffer | undefined;
  compute: ((stored: Record<string, unknown>) => unknown) | undefined;
  shape: Shape;
  /** Not a stored field. */
  isAdded: boolean;
  /** The path by which it may be hidden from some callers. */
  restriction: string | undefined;
}

const textOf = (value: null | [] | undefined): Buffer | undefined =>
  value === undefined ? undefined : Buffer.from(JSON.stringify(value));

function objectWriter(
  fields: Record<string, z.core.$ZodType>,
  path: string | undefined,
  shape: Shape,
): Writer {
  const members = Object.entries(fields).map(([name, field]): Member => {
    const restriction = restrictionOf(field)?.path;
    const isDocument = path === '' && 'id' in fields;
    const at = path === undefined || name === 'id' ? undefined : path === '' ? name : `${path}.${name}`;
    return {
      name,
      label: Buffer.from(`${JSON.stringify(name)}:`),
      write: valueWriter(field, at),
      // If the caller may read it, it is like any other field.
      absent: textOf(restriction ? ofNull(field) : absent(field)),
      ofNull: textOf(ofNull(field)),
      compute: inside(field, (schema) => computations.get(schema as z.ZodType)?.compute),
      shape: shapeOf(field),
      isAdded: isDocument && additions.has(field),
      restriction,
    };
  });
  const of = 'id' in fields ? governing(fields)?.() : undefined;
  const scan = scanner(members.map(({ name }) => Buffer.from(name === 'id' ? '_id' : name)));

  return (bytes, type, at, view, around) => {
    const shown = view.shown && path !== undefined ? view.shown.get(path) : undefined;
    if (type !== bson.DOCUMENT) return writeOther(chosen(shape, shown), bytes, type, at, around);
    const hidden = of ? hiddenOf(of, (field) => bson.valueOf(bytes, at, field)) : around;
    const { types, places } = scan(bytes, at);
    // Computed fields need all fields they are made from: the document is decoded once.
    let stored: Record<string, unknown> | undefined;
    let isFirst = true;
    out.char(123);
    for (let i = 0; i < members.length; i++) {
      const member = members[i] as Member;
      if (shown && !shown.has(member.name)) continue;
      if (member.restriction !== undefined && hidden?.has(member.restriction)) continue;
      if (member.compute) stored ??= bson.toObject(bytes, at);
      const mark = out.written();
      if (!isFirst) out.char(COMMA);
      out.raw(member.label);
      if (writeMember(member, bytes, at, types[i] as number, places[i] as number, view, hidden, stored))
        isFirst = false;
      else out.rewind(mark);
    }
    out.char(125);
    return true;
  };
}

function writeMember(
  { name, write, absent, ofNull, compute, shape, isAdded }: Member,
  bytes: Buffer,
  document: number,
  type: number,
  at: number,
  view: View,
  hidden: ReadonlySet<string> | undefined,
  stored: Record<string, unknown> = {},
): boolean {
  if (isAdded) return view.added?.get(name)?.(bytes, document) ?? false;
  if (compute) {
    const value = compute(stored);
    const text =
      value === undefined || value === null
        ? (value === null ? ofNull : absent)?.toString()
        : JSON.stringify(shape(value, hidden));
    if (text !== undefined) out.json(text);
    return text !== undefined;
  }
  if (type !== bson.MISSING && type !== bson.UNDEFINED && type !== bson.NULL)
    return write(bytes, type, at, view, hidden);
  const instead = type === bson.NULL ? ofNull : absent;
  if (instead) out.raw(instead);
  return instead !== undefined;
}

const chosen = (shape: Shape, shown: ReadonlySet<string> | undefined): Shape =>
  shown
    ? (stored, hidden) => {
        const json = shape(stored, hidden);
        return json !== null && typeof json === 'object'
          ? Object.fromEntries(Object.entries(json).filter(([name]) => shown.has(name)))
          : json;
      }
    : shape;

/** The types and positions of the elements with these names. Valid until the next scan. */
function scanner(names: Buffer[]) {
  const { length } = names;
  const types = new Uint8Array(length);
  const places = new Int32Array(length);
  const scanned = { types, places };
  return (bytes: Buffer, at: number): typeof scanned => {
    types.fill(bson.MISSING);
    let next = at + 4;
    // Documents mostly have their fields in the order of their schema.
    let guess = 0;
    for (;;) {
      const type = bytes[next++] as number;
      if (type === 0) return scanned;
      let found = -1;
      for (let tries = 0; tries < length; tries++) {
        if (bson.isNamed(bytes, next, names[guess] as Buffer)) found = guess;
        guess = guess + 1 === length ? 0 : guess + 1;
        if (found >= 0) break;
      }
      if (found < 0) while (bytes[next++]);
      else {
        next += (names[found] as Buffer).length + 1;
        types[found] = type;
        places[found] = next;
      }
      next += bson.sizeOf(bytes, type, next);
    }
  };
}
