import type { Context, Middleware } from 'koa';
import { ANONYMOUS, type Caller, runAs } from '../auth/caller.ts';
import { requireAccess } from '../schema/policy.ts';
import { deadlineOf, inTime } from './deadline.ts';
import type { Route } from './route.ts';
import { begin } from './stages.ts';

/** Re-reads a caller's current rights; throws if the account or session may not call any more. */
export type Confirm = (who: Caller) => Promise<Caller>;

/** Identifies the caller by the Authorization header; throws the problem of an invalid token. */
export type Authenticate = (authorization: string) => Promise<Caller>;

/**
 * The entrance of a route: identifies the caller, keeps it in `ctx.state.caller` for the inner layers, counts the
 * request against the caller's limit, refuses callers without the right, and runs the rest on the caller's behalf. A
 * request with an invalid token counts against its address.
 */
export function entrance(
  { policy, secret, method, path, operationId }: Route,
  authenticate: Authenticate,
  count: (ctx: Context) => Promise<void>,
): Middleware {
  if (!policy) throw new Error(`${method.toUpperCase()} ${path} has no policy, which says who may call it.`);
  const identify = async (ctx: Context): Promise<Caller> =>
    policy.credentials === 'body' || policy.credentials === 'none'
      ? ANONYMOUS
      : inTime(deadlineOf(ctx), authenticate(ctx.get('Authorization')));
  /** Answers that are not public must not be stored by shared caches. */
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
