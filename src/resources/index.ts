import type { Route } from '../http/route.ts';
import type { AnyResource } from '../schema/resource.ts';
import { Book } from './books/book.ts';
import { books } from './books/routes.ts';
import { tags } from './tags/routes.ts';
import { Tag } from './tags/tag.ts';

/** The only place that names them all. */
export const resources: AnyResource[] = [Book, Tag];
export const routes: Route[] = [...books, ...tags];
