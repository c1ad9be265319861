import mongoose from 'mongoose';
import { z } from 'zod';
import { Problem, type ProblemCode, problems } from '../errors.ts';
import { type Route, route } from './route.ts';

const links = { books: '/books', docs: '/docs' };
const status = { status: 'ok' as const };
const health = z.strictObject({ status: z.literal('ok') }).meta({ id: 'Health' });
const kind = z
  .strictObject({ code: z.string(), status: z.int(), title: z.string() })
  .meta({ id: 'ProblemKind' });

/** The routes around the resources: the entrance, health, and what the problem types mean. */
export const system = (collections: string[]): Route[] => [
  route({
    method: 'get',
    path: '/',
    operationId: 'readRoot',
    tag: 'system',
    summary: 'Links',
    description: 'Where to go from here.',
    answer: {
      status: 200,
      description: 'Paths by name',
      schema: z.record(z.string(), z.string()).meta({ id: 'Links' }),
      example: links,
    },
    handler: async () => ({
      ...Object.fromEntries(collections.map((name) => [name, `/${name}`])),
      docs: '/docs',
      openapi: '/openapi.json',
      problems: '/problems',
      health: '/health/ready',
    }),
  }),
  route({
    method: 'get',
    path: '/health/live',
    operationId: 'readLiveness',
    tag: 'system',
    summary: 'Is the process alive?',
    description: 'Answers as long as the process can answer anything.',
    answer: { status: 200, description: 'It is', schema: health, example: status },
    handler: async () => status,
  }),
  route({
    method: 'get',
    path: '/health/ready',
    operationId: 'readReadiness',
    tag: 'system',
    summary: 'Can it serve requests?',
    description: 'Answers 503 while the database cannot be reached.',
    answer: { status: 200, description: 'It can', schema: health, example: status },
    handler: async () => {
      await mongoose.connection.getClient().db('admin').command({ ping: 1, maxTimeMS: 1_000 });
      return status;
    },
  }),
  route({
    method: 'get',
    path: '/problems',
    operationId: 'listProblems',
    tag: 'system',
    summary: 'List the kinds of problem',
    description: 'Every `code` that a problem document can have.',
    answer: {
      status: 200,
      description: 'All of them',
      schema: z.strictObject({ items: z.array(kind) }).meta({ id: 'ProblemKinds' }),
      example: { items: [{ code: 'not_found', ...problems.not_found }] },
    },
    handler: async () => ({ items: Object.entries(problems).map(([code, kind]) => ({ code, ...kind })) }),
  }),
  route({
    method: 'get',
    path: '/problems/{code}',
    operationId: 'readProblem',
    tag: 'system',
    summary: 'Read a kind of problem',
    description: 'What the `type` of a problem document points to.',
    params: z.strictObject({ code: z.string().meta({ description: 'Its code', example: 'not_found' }) }),
    answer: {
      status: 200,
      description: 'The kind',
      schema: kind,
      example: { code: 'not_found', ...problems.not_found },
    },
    handler: async ({ params: { code } }) => {
      if (!Object.hasOwn(problems, code)) throw new Problem('not_found', 'There is no such kind of problem.');
      return { code, ...problems[code as ProblemCode] };
    },
  }),
];
