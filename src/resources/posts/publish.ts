import type { Types } from 'mongoose';
import { type DocumentOf, read } from '../../schema/store.ts';
import { Post } from '../index.ts';

/** A draft becomes readable for everybody; a post that is published already stays as it is. */
export async function publish(id: Types.ObjectId): Promise<DocumentOf<typeof Post>> {
  await Post.model.updateOne(
    { _id: id, status: 'draft' },
    { $set: { status: 'published', publishedAt: new Date() } },
  );
  return read(Post, id);
}
