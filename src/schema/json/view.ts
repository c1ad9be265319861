import type { z } from 'zod';

/** How the documents that stand in one place of an answer are shown. */
export interface View {
  /** By the path of an object in the document, '' for itself: the names of the members to show, if not all. */
  shown?: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  /** By the path of a reference: the documents that stand in the place of its ids. */
  joined?: ReadonlyMap<string, Joined> | undefined;
  /** By name: what writes a member that is no field of the document, and says whether there was anything to write. */
  added?: ReadonlyMap<string, Addition> | undefined;
}

export type Addition = (bytes: Buffer, at: number) => boolean;

export interface Joined {
  /** As MongoDB sends them, by the twelve bytes of their ids. */
  documents: ReadonlyMap<string, Buffer>;
  view: View;
}

/** The schemas of members that are no fields: a document may have by their names what another tool has stored there. */
export const additions = new WeakSet<z.core.$ZodType>();

export function asAddition<S extends z.ZodType>(schema: S): S {
  additions.add(schema);
  return schema;
}
