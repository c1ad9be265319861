import { inspect, parseArgs } from 'node:util';
import mongoose from 'mongoose';
import { type Caller, ANONYMOUS, ROLES, type Role, runAs } from '../src/auth/caller.ts';
import { Problem } from '../src/errors.ts';
import { queryReader } from '../src/http/input.ts';
import { queryOf, type Route } from '../src/http/route.ts';
import { database } from '../src/mongo/connect.ts';
import { routes } from '../src/resources/api.ts';
import { inWords, questionOf } from './explain/plan.ts';
import { runProgram, say, UsageError, withDatabase } from './program.ts';

const USAGE = `Usage: npm run explain -- "/books?filter=year < 1900 or language = 'fr'" [--as member|editor|admin]

Performs a GET of the API and shows how MongoDB executed it: for each query, the indexes and index ranges used, and how many
keys and documents were examined. Without --as the caller is anonymous.

Exit codes: 0 done, 1 the request was refused, 2 it could not run.`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { as: { type: 'string' } } });
  const [url = '', ...more] = positionals;
  if (!url.startsWith('/') || more.length > 0) throw new UsageError('Give one URL of this API, in quotes.');
  const who = callerOf(values.as);
  const { route, params } = routeOf(url.split('?')[0] as string);
  return withDatabase(
    async () => {
      const commands: Record<string, any>[] = [];
      mongoose.connection
        .getClient()
        .on('commandStarted', ({ command }) => void commands.push(command as Record<string, any>));
      const refusal = await runAs(who, () =>
        answer(route, params, url.slice(url.indexOf('?') + 1 || url.length)),
      );
      for (const question of commands.map(questionOf)) if (question) await tell(question);
      if (refusal) say(refusal);
      return refusal ? 1 : 0;
    },
    { monitorCommands: true },
  );
}

/** The problem, if the request was refused: its queries so far may explain it. */
async function answer(route: Route, params: object, querystring: string): Promise<string | undefined> {
  // Encoded as clients do, so that users of a shell need not.
  const encoded = querystring.replace(/[^\w.~!$&'()*+,;=:@/?%[\]-]/gu, encodeURIComponent);
  const { data, faults } = queryReader(queryOf(route))(encoded);
  if (faults) return faults.map(({ parameter, message }) => `${parameter} ${message}`).join('\n');
  try {
    await route.handler({ params, query: data, body: undefined });
    return undefined;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const faults = error.members.errors?.map(({ parameter, message }) => `${parameter} ${message}`);
    return faults?.join('\n') ?? error.message;
  }
}

async function tell(question: Record<string, any>): Promise<void> {
  const [kind, collection] = Object.entries(question)[0] as [string, string];
  const { filter, query, pipeline, sort } = question;
  console.log(`\n${kind} ${collection}`);
  const asked = {
    ...((filter ?? query) && { filter: filter ?? query }),
    ...(sort && { sort }),
    ...(pipeline && { pipeline }),
  };
  for (const [name, part] of Object.entries(asked))
    console.log(
      `  ${name}: ${inspect(part, { depth: 12, compact: true, breakLength: Infinity, maxArrayLength: 5 })}`,
    );
  const explained = await database().command({ explain: question, verbosity: 'executionStats' });
  for (const line of inWords(explained)) console.log(`  ${line}`);
}

function callerOf(role: string | undefined): Caller {
  if (role === undefined) return ANONYMOUS;
  if (!ROLES.includes(role as Role)) throw new UsageError(`--as takes ${ROLES.join(', ')}, not ${role}.`);
  return { kind: 'user', role: role as Role, id: new mongoose.Types.ObjectId() };
}

function routeOf(path: string): { route: Route; params: object } {
  for (const route of routes) {
    if (route.method !== 'get' || !route.answer.schema) continue;
    const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
    const found = new RegExp(`^${route.path.replace(/\{\w+\}/g, '([^/]+)')}$`).exec(path);
    const params =
      found && route.params?.safeParse(Object.fromEntries(names.map((name, i) => [name, found[i + 1]])));
    if (found && (params?.success ?? true)) return { route, params: params?.data ?? {} };
  }
  if (path.endsWith('/export'))
    throw new UsageError('An export uses the same query as its list: explain the list.');
  throw new UsageError(`There is no GET ${path} that answers with JSON.`);
}

await runProgram(USAGE, main);
