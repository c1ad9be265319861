import { isIP } from 'node:net';
import type { Context } from 'koa';
import type { Caller, Role } from '../auth/caller.ts';
import { Problem } from '../errors.ts';
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
  /** Only requests that are refused count: attempts to guess something. */
  onlyRefused?: true;
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

/** Compiles the limits of a route into the function that runs its work within them. */
export function routeLimits(limits: Limit<any>[] = []) {
  const budgets = limits.map((limit) => ({ limit, own: budget(limit) }));
  return async <T>(ctx: Context, body: unknown, work: () => Promise<T>): Promise<T> => {
    const spent: (() => void)[] = [];
    const giveAllBack = () => {
      for (const giveBack of spent) giveBack();
    };
    for (const { limit, own } of budgets) {
      const by = limit.by({ ...clientOf(ctx), body });
      if (!by) continue;
      // What clients type may be long, and nobody else's business.
      const key = digest(JSON.stringify(by));
      try {
        await spend(ctx, own, key);
      } catch (refusal) {
        // What one limit does not let in has tried nothing, for the others.
        giveAllBack();
        throw refusal;
      }
      if (limit.onlyRefused) spent.push(() => own.giveBack(key));
    }
    try {
      const result = await work();
      giveAllBack();
      return result;
    } catch (error) {
      // A failure of ours tells nobody whether he has guessed right.
      if (!(error instanceof Problem) || error.status >= 500) giveAllBack();
      throw error;
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
  if (!granted)
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

const clientOf = (ctx: Context): Client => {
  const who = ctx.state['caller'] as Caller | undefined;
  return {
    account: who?.id?.toHexString(),
    role: who?.role,
    address: networkOf(ctx.ip) ?? networkOf(ctx.req.socket.remoteAddress) ?? '',
  };
};

/** undefined for what is no address: a proxy may say `unknown`. */
function networkOf(address = ''): string | undefined {
  // Also as a socket that takes both kinds of address has it, and with a port, as some proxies do.
  const v4 = /^(?:::ffff:)?(\d+(?:\.\d+){3})(?::\d+)?$/i.exec(address)?.[1];
  if (v4) return v4;
  const [plain = ''] = address.split('%');
  if (isIP(plain) !== 6) return undefined;
  // A URL has an address in its one short form.
  const [head = '', tail] = new URL(`http://[${plain}]`).hostname.slice(1, -1).split('::');
  const groups = (part = '') => part.split(':').filter(Boolean);
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(zeros).fill('0'), ...groups(tail)];
  return `${all.slice(0, 4).join(':')}::/64`;
}
