import type { Context, Middleware } from 'koa';
import { ANONYMOUS, type Caller, runAs } from '../auth/caller.ts';
import { requireAccess } from '../schema/policy.ts';
import { deadlineOf, inTime } from './deadline.ts';
import type { Route } from './route.ts';
import { begin } from './stages.ts';

/** What is known of a caller, read anew; throws if he may not call any more. */
export type Confirm = (who: Caller) => Promise<Caller>;

/** Finds out who is calling from the header Authorization; throws the problem of a token that is not valid. */
export type Authenticate = (authorization: string) => Promise<Caller>;

/**
 * The door of a route: finds out who is calling, keeps it in `ctx.state.caller` for the layers further in, counts the
 * request as the caller's, refuses who may not enter, and has all the rest run on behalf of the caller. A token that
 * is not valid counts for the address that it came from.
 */
export function entrance(
  { policy, secret, method, path, operationId }: Route,
  authenticate: Authenticate,
  count: (ctx: Context) => Promise<void>,
): Middleware {
  if (!policy)
    throw new Error(`${method.toUpperCase()} ${path} does not say who may call it: give it a policy.`);
  const identify = async (ctx: Context): Promise<Caller> =>
    policy.credentials === 'body' || policy.credentials === 'none'
      ? ANONYMOUS
      : inTime(deadlineOf(ctx), authenticate(ctx.get('Authorization')));
  /** What not everybody may read is for nobody's cache. */
  const isPersonal = secret || policy.role !== 'anyone';
  return async (ctx, next) => {
    ctx.state['operation'] = operationId;
    if (isPersonal) ctx.set('Cache-Control', 'no-store');
    let who = ANONYMOUS;
    const end = begin(ctx, 'caller');
    try {
      who = ctx.state['caller'] = await identify(ctx);
    } finally {
      end();
      await inTime(deadlineOf(ctx), count(ctx));
    }
    if (!isPersonal && who.kind !== 'anonymous') ctx.set('Cache-Control', 'private, no-cache');
    if (policy.credentials !== 'ticket') requireAccess(policy, who);
    await runAs(who, next);
  };
}
