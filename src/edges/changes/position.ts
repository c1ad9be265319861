import { createHash } from 'node:crypto';
import mongoose, { type mongo } from 'mongoose';

/**
 * A position in the history of the database: with `key` right behind the change of one document, without it right
 * before everything that was committed at `time`.
 */
export interface Position {
  time: Time;
  key?: string;
}

/**
 * The time of a commit: MongoDB's cluster time as one number. All changes of a transaction share it; of two commits,
 * the later one has the greater.
 */
export type Time = number;

/** More commits than a server makes in a second; the rest of the 53 bits holds seconds until 2106. */
export const SECOND = 2 ** 21;

export const toTime = ({ t, i }: mongo.Timestamp): Time => t * SECOND + i;

export const toTimestamp = (time: Time): mongo.Timestamp =>
  new mongoose.mongo.Timestamp({ t: Math.floor(time / SECOND), i: time % SECOND });

/** The beginning of this moment's second. */
export const timeOf = (moment: Date): Time => Math.floor(moment.getTime() / 1000) * SECOND;

/** Represents a document in a position: its id might have to be hidden from the next reader. */
export const keyOf = (collection: string, id: unknown): string => digest(`${collection}:${String(id)}`, 12);

/** Identifies the database of a position; a copy that was restored elsewhere has another history. */
export const markOf = (uuid: unknown): string => digest(String(uuid), 6);

const digest = (text: string, length: number): string =>
  createHash('sha256').update(text).digest('hex').slice(0, length);

/** Identifies the caller's rights: a position issued under other rights says nothing about what these show. */
export const rightsMarkOf = (rights: string[]): string => digest(rights.join('\n'), 6);

/** A position, and the rights it was issued under. */
export interface Given {
  position: Position;
  rights: string;
}

/** The text for clients; `mark` is the database's. */
export const write = ({ position: { time, key }, rights }: Given, mark: string): string =>
  [time.toString(36), mark, rights, ...(key ? [key] : [])].join('-');

/** undefined if it is not a position in the history of this database. */
export function parse(text: string, mark: string): Given | undefined {
  const [, time = '', theirs, rights = '', key] =
    /^([0-9a-z]{1,11})-([0-9a-f]{6})-([0-9a-f]{6})(?:-([0-9a-f]{12}))?$/.exec(text) ?? [];
  const parsed = Number.parseInt(time, 36);
  if (theirs !== mark || !Number.isSafeInteger(parsed)) return undefined;
  return { position: { time: parsed, ...(key && { key }) }, rights };
}

export const isAhead = (a: Position, b: Position): boolean =>
  a.time > b.time || (a.time === b.time && a.key !== undefined && b.key === undefined);
