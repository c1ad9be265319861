import { create, list, read, remove, replace, update } from '../../http/crud.ts';
import { Tag } from './tag.ts';

export const tags = [
  list(Tag, { filter: ['name'], sort: ['name', 'createdAt'] }),
  create(Tag, { example: { name: 'anthropology', description: 'People, and how they live' } }),
  read(Tag),
  replace(Tag),
  update(Tag, { example: { description: 'Other worlds, other people' } }),
  remove(Tag),
];
