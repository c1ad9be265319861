import type { z } from 'zod';

/** How the documents at one place of an answer are shown. */
export interface View {
  /** By the path of an object in the document ('' for itself): the names of the members to show, if not all. */
  shown?: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  /** By the path of a reference: the documents that replace its ids. */
  joined?: ReadonlyMap<string, Joined> | undefined;
  /** By name: writes a member that is not a stored field, and says whether it wrote anything. */
  added?: ReadonlyMap<string, Addition> | undefined;
}

export type Addition = (bytes: Buffer, at: number) => boolean;

export interface Joined {
  /** Documents as MongoDB sent them, by the twelve bytes of their ids. */
  documents: ReadonlyMap<string, Buffer>;
  view: View;
}

/**
 * The schemas of members that are not stored fields, so that values stored under their names by other tools are
 * ignored.
 */
export const additions = new WeakSet<z.core.$ZodType>();

export function asAddition<S extends z.ZodType>(schema: S): S {
  additions.add(schema);
  return schema;
}
