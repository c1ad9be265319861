import type { Context } from 'koa';
import type { Caller, Role } from '../auth/caller.ts';
import { origin } from '../auth/origin.ts';
import { Problem } from '../errors.ts';
import { refusals } from '../measures.ts';
import { type Budget, budget, type Policy } from '../mongo/budget.ts';
import { digest } from '../schema/etag.ts';

/** Who sends a request. */
interface Client {
  /** An IPv4 address, or the /64 of an IPv6 address: so much a single household has. */
  address: string;
  /** The account that it has shown to be its own, if any, and the role of that. */
  account: string | undefined;
  role: Role | undefined;
}

/** A limit of one route, beside the one that holds for all requests. */
export interface Limit<B> extends Policy {
  /** Requests with the same words count together; undefined, it does not count. */
  by: (request: Client & { body: B }) => string[] | undefined;
}

const WINDOW = 60;

/** Whether requests for a path count: what monitors ask for all the time, and what a page loads, do not. */
export const isCounted = (path: string): boolean => !/^\/(health|docs)\//.test(path);

/** Behind an address there may be many accounts, but not any number: they cost nothing to make. */
const ACCOUNTS = 10;

/** Counts a request of a client, by account or else by address; refuses more than so many a minute. */
export function generalLimit(points: number): (ctx: Context) => Promise<void> {
  const general = budget({ name: 'default', points, seconds: WINDOW });
  const shared = budget({ name: 'address', points: points * ACCOUNTS, seconds: WINDOW });
  return async (ctx) => {
    if (!isCounted(ctx.path)) return;
    const { account, address } = clientOf(ctx);
    await spend(ctx, general, account ? `account:${account}` : `address:${address}`);
    if (account) await spend(ctx, shared, address);
  };
}

/** Compiles the limits of a route into the function that counts a request, and refuses one too many. */
export function routeLimits(limits: Limit<any>[] = []) {
  const budgets = limits.map((limit) => ({ limit, own: budget(limit) }));
  return async (ctx: Context, body: unknown): Promise<void> => {
    for (const { limit, own } of budgets) {
      const by = limit.by({ ...clientOf(ctx), body });
      // What clients type may be long, and nobody else's business.
      if (by) await spend(ctx, own, digest(JSON.stringify(by)));
    }
  };
}

/** Takes a point, and says how things stand (draft-ietf-httpapi-ratelimit-headers-10). */
async function spend(ctx: Context, { policy, take }: Budget, key: string): Promise<void> {
  const { name, points, seconds } = policy;
  const { granted, left, reset } = await take(key);
  const wait = Math.ceil(reset / 1000);
  addToList(ctx, 'RateLimit-Policy', `"${name}";q=${points};w=${seconds}`);
  addToList(ctx, 'RateLimit', `"${name}";r=${left};t=${wait}`);
  if (granted) return;
  refusals.publish({ policy: name });
  throw new Problem(
    'rate_limited',
    `Of these requests ${points} are taken in ${seconds} seconds; try again in ${wait} seconds.`,
    { headers: { 'Retry-After': String(wait) } },
  );
}

const addToList = (ctx: Context, name: string, item: string): void => {
  const list = ctx.response.get(name);
  ctx.set(name, list ? `${list}, ${item}` : item);
};

/** Who is to be counted for a request. */
export const clientOf = (ctx: Context): Client => {
  const who = ctx.state['caller'] as Caller | undefined;
  return {
    account: who?.id?.toHexString(),
    role: who?.role,
    address: origin()?.networks[0] ?? '',
  };
};
