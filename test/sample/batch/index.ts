import { batch } from '../../../src/http/batch.ts';
import type { Route } from '../../../src/http/route.ts';
import type { AnyResource } from '../../../src/schema/resource.ts';
import { example as book } from '../books/routes.ts';

export const routes = ({ resources }: { resources: AnyResource[] }): Route[] => [
  batch(resources, {
    example: {
      operations: [
        { method: 'create', resource: 'tags', as: 'utopia', body: { name: 'utopia' } },
        { method: 'create', resource: 'books', body: { ...book, isbn: null, tags: ['$utopia'] } },
      ],
    },
  }),
];
