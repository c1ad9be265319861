import { batch } from '../http/batch.ts';
import type { Route } from '../http/route.ts';
import { books } from './books/routes.ts';
import { resources } from './index.ts';
import { posts } from './posts/routes.ts';
import { tags } from './tags/routes.ts';
import { users } from './users/routes.ts';

/** All routes of the resources. */
export const routes: Route[] = [...users, ...posts, ...books, ...tags, batch(resources)];
