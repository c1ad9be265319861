import type { Types } from 'mongoose';
import type { DocumentOf } from '../../schema/resource.ts';
import { update } from '../../schema/store.ts';
import { Post } from './post.ts';

/** Makes a draft readable for everybody; a published post stays as it is. */
export const publish = (id: Types.ObjectId): Promise<DocumentOf<typeof Post>> =>
  update(Post, id, ({ status }) =>
    status === 'draft' ? { status: 'published', publishedAt: new Date() } : {},
  );
