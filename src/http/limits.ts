import type { Context } from 'koa';
import type { Caller, Role } from '../auth/caller.ts';
import { origin } from '../auth/origin.ts';
import { Problem } from '../errors.ts';
import { refusals } from '../measures.ts';
import { type Budget, budget, type Policy } from '../mongo/budget.ts';
import { digest } from '../schema/etag.ts';

/** The sender of a request, for limits. */
interface Client {
  /** An IPv4 address, or the /64 of an IPv6 address, which is what one household has. */
  address: string;
  /** The authenticated account, if any, and its role. */
  account: string | undefined;
  role: Role | undefined;
}

/** A limit of one route, in addition to the general one. */
export interface Limit<B> extends Policy {
  /** Requests with the same words share a count; undefined means that the request does not count. */
  by: (request: Client & { body: B }) => string[] | undefined;
}

const WINDOW = 60;

/** Whether requests for a path count. Health checks and the files of /docs do not. */
export const isCounted = (path: string): boolean => !/^\/(health|docs)\//.test(path);

/** An address may have many accounts behind it, but not any number: accounts are free to create. */
const ACCOUNTS = 10;

/** Counts a request against its account, or else its address; refuses it above so many a minute. */
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

/** Compiles the limits of a route into a function that counts a request and refuses one that exceeds them. */
export function routeLimits(limits: Limit<any>[] = []) {
  const budgets = limits.map((limit) => ({ limit, own: budget(limit) }));
  return async (ctx: Context, body: unknown): Promise<void> => {
    for (const { limit, own } of budgets) {
      const by = limit.by({ ...clientOf(ctx), body });
      // Hashed: client input may be long, and is private.
      if (by) await spend(ctx, own, digest(JSON.stringify(by)));
    }
  };
}

/** Takes a point and reports the state in headers (draft-ietf-httpapi-ratelimit-headers-10). */
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
    `The limit is ${points} requests in ${seconds} seconds; try again in ${wait} seconds.`,
    { headers: { 'Retry-After': String(wait) } },
  );
}

const addToList = (ctx: Context, name: string, item: string): void => {
  const list = ctx.response.get(name);
  ctx.set(name, list ? `${list}, ${item}` : item);
};

/** The key that a request counts under. */
export const clientOf = (ctx: Context): Client => {
  const who = ctx.state['caller'] as Caller | undefined;
  return {
    account: who?.id?.toHexString(),
    role: who?.role,
    address: origin()?.networks[0] ?? '',
  };
};
