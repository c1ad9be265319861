import { z } from 'zod';
import { command } from '../../../src/http/command.ts';
import { create, read, remove, replace, update } from '../../../src/http/crud.ts';
import { exportAll } from '../../../src/http/export.ts';
import { list } from '../../../src/http/list.ts';
import type { Route } from '../../../src/http/route.ts';
import { objectId } from '../../../src/schema/fields.ts';
import { Tag } from './tag.ts';
import { merge } from './merge.ts';

export const routes = (): Route[] => [
  list(Tag, { filter: ['name'], sort: ['name', 'createdAt'] }),
  exportAll(Tag, { filter: ['name'], sort: ['name', 'createdAt'] }),
  create(Tag, { example: { name: 'anthropology', description: 'People, and how they live' } }),
  read(Tag),
  replace(Tag),
  update(Tag, { example: { description: 'Other worlds, other people' } }),
  remove(Tag, { example: '65f000000000000000000a03' }),
  command(Tag, 'merge', {
    summary: 'Merge a tag into another',
    description: 'The other tag replaces this one everywhere, and this one is removed.',
    example: '65f000000000000000000a02',
    body: {
      schema: z
        .strictObject({ into: objectId().describe('The tag that stays') })
        .meta({ id: 'Merge', description: 'The other tag' }),
      example: { into: Tag.example.id },
    },
    problems: ['reference_not_found', 'too_many_references'],
    holds: ({ body }) => [{ resource: Tag, id: body.into }],
    handler: ({ params, body }) => merge(params.id, body.into),
  }),
];
