import { z } from 'zod';
import { command } from '../src/http/command.ts';
import { Post } from './sample/posts/post.ts';
import { Tag } from './sample/tags/tag.ts';
import { accessTo } from '../src/schema/policy.ts';
import { read } from '../src/schema/store.ts';

/** The short form of a route; what the shipped commands do stands in resources.test.ts and policy.test.ts. */

const said = { summary: 'Pin a post', description: 'It comes first.' };

test('the parts of a command follow from its resource', () => {
  const pin = command(Post, 'pin', { ...said, handler: ({ params }) => read(Post, params.id) });
  expect(pin).toMatchObject({
    ...said,
    method: 'post',
    path: '/posts/{id}/pin',
    operationId: 'pinPost',
    tag: 'posts',
    policy: accessTo('update', Post),
    about: Post,
    answer: { status: 200, schema: Post.document, example: Post.example },
  });
  expect(pin.params.shape.id.meta().example).toBe(Post.example.id);
});

test('what it gives itself counts', () => {
  const body = { schema: z.strictObject({ days: z.int() }), example: { days: 3 } };
  const pin = command(Post, 'pin', {
    ...said,
    example: '65f000000000000000000d03',
    method: 'put',
    operationId: 'pin',
    policy: { role: 'admin' },
    body,
    answer: {
      status: 200,
      description: 'Until when',
      schema: z.strictObject({ days: z.int() }),
      example: { days: 3 },
    },
    handler: async ({ body: { days } }) => ({ days }),
  });
  expect(pin).toMatchObject({ method: 'put', operationId: 'pin', policy: { role: 'admin' }, body });
  expect(pin.params.shape.id.meta().example).toBe('65f000000000000000000d03');
});

test('one that lacks a part, or answers with another document, is refused: by the compiler, the first at start too', () => {
  // @ts-expect-error
  expect(() => command(Post, 'pin', { ...said })).toThrow(`command(Post, 'pin', …) lacks "handler"`);
  // @ts-expect-error
  command(Post, 'pin', { ...said, handler: ({ params }) => read(Tag, params.id) });
});
