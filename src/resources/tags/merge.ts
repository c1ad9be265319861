import type { Types } from 'mongoose';
import { invalid } from '../../errors.ts';
import { redirect } from '../../schema/integrity.ts';
import type { DocumentOf } from '../../schema/resource.ts';
import { read, remove } from '../../schema/store.ts';
import { Tag } from './tag.ts';

/** Replaces the tag `from` by `into` everywhere, and removes `from`. */
export async function merge(from: Types.ObjectId, into: Types.ObjectId): Promise<DocumentOf<typeof Tag>> {
  if (from.equals(into))
    throw invalid([{ in: 'body', pointer: '/into', code: 'same_tag', message: 'is the tag to be merged' }]);
  await redirect(Tag, from, into, '/into');
  await remove(Tag, from);
  return read(Tag, into);
}
