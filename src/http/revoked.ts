import { Readable } from 'node:stream';
import type { Context } from 'koa';
import { caller } from '../auth/caller.ts';
import type { Confirm } from './entrance.ts';

/** How often a stream checks its caller's rights, in milliseconds. */
const EVERY = 2_000;

/**
 * Cuts a stream off when its caller's role changes or the session ends, because it was started with rights that no
 * longer exist. The client can tell that the answer is incomplete.
 */
export function endWithRights(ctx: Context, confirm: Confirm): void {
  const who = caller();
  if (!who.id || !(ctx.body instanceof Readable) || ctx.res.closed) return;
  const look = async (): Promise<void> => {
    const isSame = await confirm(who).then(
      ({ role }) => role === who.role,
      // If the database is unavailable, the rights are assumed unchanged.
      (error: { status?: number }) => error.status !== 401,
    );
    if (!isSame) ctx.res.destroy();
  };
  const timer = setInterval(() => void look(), EVERY).unref();
  ctx.res.once('close', () => clearInterval(timer));
}
