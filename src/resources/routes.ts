import { batch } from '../http/batch.ts';
import type { Route } from '../http/route.ts';
import { audit } from './audit/routes.ts';
import { books, example as book } from './books/routes.ts';
import { resources } from './index.ts';
import { keys } from './keys/routes.ts';
import { posts } from './posts/routes.ts';
import { auth } from './sessions/routes.ts';
import { tags } from './tags/routes.ts';
import { me } from './users/me.ts';
import { users } from './users/routes.ts';

/** All routes of the resources. */
export const routes: Route[] = [
  ...auth,
  ...me,
  ...keys,
  ...users,
  ...posts,
  ...books,
  ...tags,
  batch(resources, {
    example: {
      operations: [
        { method: 'create', resource: 'tags', as: 'utopia', body: { name: 'utopia' } },
        { method: 'create', resource: 'books', body: { ...book, isbn: null, tags: ['$utopia'] } },
      ],
    },
  }),
  ...audit,
];
