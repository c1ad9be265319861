import { createHash } from 'node:crypto';
import mongoose, { type mongo } from 'mongoose';

/**
 * A position in the history of the database. With `key` it is right behind the change of one document, without it
 * right before everything that was committed at `time`.
 */
export interface Position {
  time: Time;
  key?: string;
}

/**
 * When something was committed: MongoDB's cluster time as one number. All changes of a transaction share it, and of
 * two commits the later one has the greater.
 */
export type Time = number;

/** More commits than any server makes in a second; what remains of 53 bits holds seconds until 2106. */
const PER_SECOND = 2 ** 21;

export const toTime = ({ t, i }: mongo.Timestamp): Time => t * PER_SECOND + i;

export const toTimestamp = (time: Time): mongo.Timestamp =>
  new mongoose.mongo.Timestamp({ t: Math.floor(time / PER_SECOND), i: time % PER_SECOND });

/** The beginning of the second of this moment. */
export const timeOf = (moment: Date): Time => Math.floor(moment.getTime() / 1000) * PER_SECOND;

/** Stands for a document in a position: its id would be a secret where the next reader may not see it. */
export const keyOf = (collection: string, id: unknown): string => digest(`${collection}:${String(id)}`, 12);

/** Of the database to which positions belong; a copy of it that was restored elsewhere has another history. */
export const markOf = (uuid: unknown): string => digest(String(uuid), 6);

const digest = (text: string, length: number): string =>
  createHash('sha256').update(text).digest('hex').slice(0, length);

/** Of what a caller may see: a position that was given to other rights says nothing of what these show. */
export const rightsMarkOf = (rights: string[]): string => digest(rights.join('\n'), 6);

/** A position, and for whose eyes it was given out. */
export interface Given {
  position: Position;
  rights: string;
}

/** As clients see it; `mark` is that of the database. */
export const write = ({ position: { time, key }, rights }: Given, mark: string): string =>
  [time.toString(36), mark, rights, ...(key ? [key] : [])].join('-');

/** undefined for what is no position in the history of this database. */
export function parse(text: string, mark: string): Given | undefined {
  const [, time = '', theirs, rights = '', key] =
    /^([0-9a-z]{1,11})-([0-9a-f]{6})-([0-9a-f]{6})(?:-([0-9a-f]{12}))?$/.exec(text) ?? [];
  const parsed = Number.parseInt(time, 36);
  if (theirs !== mark || !Number.isSafeInteger(parsed)) return undefined;
  return { position: { time: parsed, ...(key && { key }) }, rights };
}

export const isAhead = (a: Position, b: Position): boolean =>
  a.time > b.time || (a.time === b.time && a.key !== undefined && b.key === undefined);
