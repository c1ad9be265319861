import { AuditEntry } from '../http/audit.ts';
import { link } from '../schema/references.ts';
import type { AnyResource } from '../schema/resource.ts';
import { Book } from './books/book.ts';
import { ApiKey } from './keys/key.ts';
import { Post } from './posts/post.ts';
import { Session } from './sessions/session.ts';
import { Tag } from './tags/tag.ts';
import { User } from './users/user.ts';

/**
 * All resources, connected by their references. Definitions import each other; routes and commands, which need
 * the connections, import from here.
 */
export const resources: AnyResource[] = [User, Tag, Book, Post];

/** With those that have no collection in the API: logins, keys, and what was done. */
export const collections: AnyResource[] = link([...resources, Session, ApiKey, AuditEntry]);

export { ApiKey, Book, Post, Session, Tag, User };
