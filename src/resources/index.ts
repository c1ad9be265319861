import { link } from '../schema/references.ts';
import type { AnyResource } from '../schema/resource.ts';
import { Book } from './books/book.ts';
import { Post } from './posts/post.ts';
import { Tag } from './tags/tag.ts';
import { User } from './users/user.ts';

/**
 * All resources, connected by their references. Definitions import each other; routes and commands, which need
 * the connections, import from here.
 */
export const resources: AnyResource[] = link([User, Tag, Book, Post]);

export { Book, Post, Tag, User };
