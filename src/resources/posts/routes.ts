import { toWrite } from '../../schema/policy.ts';
import { create, links, read, remove, replace, update } from '../../http/crud.ts';
import { list } from '../../http/list.ts';
import { byId, type Route, route } from '../../http/route.ts';
import { Post } from './post.ts';
import { publish } from './publish.ts';

export const listing = {
  filter: ['author', 'books', 'tags', 'status', 'title', 'publishedAt'],
  sort: ['title', 'publishedAt', 'createdAt'],
} as const;

export const routes = (): Route[] => [
  list(Post, listing),
  create(Post, {
    example: {
      title: 'Anarchy on the moon',
      body: 'What would you miss?',
      author: '65f000000000000000000c01',
      books: ['65f000000000000000000b01'],
      tags: ['65f000000000000000000a01'],
    },
  }),
  read(Post),
  replace(Post),
  update(Post, { example: { title: 'Winter, and a longer walk' } }),
  remove(Post, { example: '65f000000000000000000d02' }),
  ...links(Post, 'tags'),
  ...links(Post, 'books'),
  route({
    method: 'post',
    path: '/posts/{id}/publish',
    operationId: 'publishPost',
    tag: 'posts',
    summary: 'Publish a draft',
    description: 'From now on everybody can read it. A post that is published already stays as it is.',
    policy: toWrite(Post),
    about: Post,
    params: byId(Post, '65f000000000000000000d03'),
    answer: { status: 200, description: 'The post', schema: Post.document, example: Post.example },
    handler: ({ params }) => publish(params.id),
  }),
];
