import { z } from 'zod';
import { command } from '../../http/command.ts';
import { create, read, remove, replace, update } from '../../http/crud.ts';
import { exportAll } from '../../http/export.ts';
import { list } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';
import { objectId } from '../../schema/fields.ts';
import { redirectionProblems } from '../../schema/integrity.ts';
import { Tag } from './tag.ts';
import { merge } from './merge.ts';

const listing = { filter: ['id', 'name', 'createdAt'], sort: ['name', 'createdAt'] } as const;

export const routes = (): Route[] => [
  list(Tag, listing),
  exportAll(Tag, listing),
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
    problems: redirectionProblems(Tag),
    holds: ({ body }) => [{ resource: Tag, id: body.into }],
    handler: ({ params, body }) => merge(params.id, body.into),
  }),
];
