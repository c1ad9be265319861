import mongoose from 'mongoose';
import { z } from 'zod';
import { ANYONE, UNASKED } from '../schema/policy.ts';
import { Problem, type ProblemCode, problems } from '../errors.ts';
import { unavailable } from '../mongo/failures.ts';
import { inTime } from './deadline.ts';
import { type Route, route } from './route.ts';

const status = { status: 'ok' as const };
const health = z
  .strictObject({ status: z.literal('ok') })
  .meta({ id: 'Health', description: '`ok`; anything else is a problem document' });
/** Monitors do not wait long, and a hanging database ignores every time limit of its own. */
const PING_TIME = 2_000;
const kind = z
  .strictObject({
    code: z.string().describe('Stable, for programs'),
    status: z.int().describe('The status of the answer'),
    title: z.string().describe('For people'),
  })
  .meta({ id: 'ProblemKind', description: 'A kind of problem' });

/** Routes that belong to no resource: the root, health, and the descriptions of problem types. */
export const system = (collections: string[], requireReady: () => void): Route[] => [
  route({
    method: 'get',
    path: '/',
    operationId: 'readRoot',
    tag: 'system',
    summary: 'Links',
    description: 'Links to everything else.',
    policy: ANYONE,
    answer: {
      status: 200,
      description: 'Paths by name',
      schema: z.record(z.string(), z.string()).meta({ id: 'Links', description: 'Paths by name' }),
      example: links(collections),
    },
    handler: async () => links(collections),
  }),
  route({
    method: 'get',
    path: '/health/live',
    operationId: 'readLiveness',
    tag: 'system',
    summary: 'Is the process alive?',
    description: 'Answers while the process is alive, whatever the state of the database.',
    policy: UNASKED,
    answer: { status: 200, description: 'Alive', schema: health, example: status },
    handler: async () => status,
  }),
  route({
    method: 'get',
    path: '/health/ready',
    operationId: 'readReadiness',
    tag: 'system',
    summary: 'Can it serve requests?',
    description:
      'Returns 503 while the database is unreachable or not migrated, and before the process stops, so that a load balancer sends requests elsewhere.',
    policy: UNASKED,
    answer: { status: 200, description: 'Ready', schema: health, example: status },
    problems: ['shutting_down'],
    handler: async () => {
      requireReady();
      const ping = mongoose.connection.getClient().db('admin').command({ ping: 1, maxTimeMS: 1_000 });
      await inTime(performance.now() + PING_TIME, ping).catch((error: unknown) => {
        throw error instanceof Problem ? unavailable('MongoDB has not answered a ping in time.') : error;
      });
      return status;
    },
  }),
  route({
    method: 'get',
    path: '/problems',
    operationId: 'listProblems',
    tag: 'system',
    summary: 'List the kinds of problem',
    description: 'Every `code` of problem documents.',
    policy: ANYONE,
    answer: {
      status: 200,
      description: 'All of them',
      schema: z
        .strictObject({ items: z.array(kind).describe('One for each code') })
        .meta({ id: 'ProblemKinds', description: 'The kinds of problem' }),
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
    description: 'The target of `type` in a problem document.',
    policy: ANYONE,
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

const links = (collections: string[]) => ({
  ...Object.fromEntries(collections.map((name) => [name, `/${name}`])),
  login: '/auth/token',
  docs: '/docs',
  openapi: '/openapi.json',
  problems: '/problems',
  health: '/health/ready',
});
