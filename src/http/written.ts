import type { Context } from 'koa';
import type { Types } from 'mongoose';
import { sendMails } from '../auth/mail.ts';
import { caller, runAs } from '../auth/caller.ts';
import { Problem } from '../errors.ts';
import { together } from '../mongo/group/queue.ts';
import { GRACE, transaction } from '../mongo/transaction.ts';
import { type Done, recording } from '../schema/changes.ts';
import { requireMatch } from '../schema/etag.ts';
import { requireAccess } from '../schema/policy.ts';
import { guarded } from '../schema/references.ts';
import { requireVersion } from '../schema/store.ts';
import type { Answering } from './answer.ts';
import type { Asked, Params } from './asked.ts';
import { record } from './audit.ts';
import { deadlineOf, inTime } from './deadline.ts';
import type { Confirm } from './entrance.ts';
import { keyOf, recall, remember } from './idempotency.ts';
import type { Reply } from './reply.ts';
import { logOf } from './request-log.ts';
import { isIdempotent, type Route } from './route.ts';
import { logEvents } from './security.ts';

/**
 * The third of the four values of a request that writes: what was done. The handler runs in one transaction, possibly
 * several times; its answer, the audit entry and the Idempotency-Key record are made in that transaction. Creates
 * share transactions.
 */
export function writing(
  route: Route,
  confirm: Confirm,
  answer: Answering,
): (ctx: Context, asked: Asked) => Promise<Reply> {
  const { about, current, handler, holds, method, operationId, policy, prepare, shares } = route;
  const right = method === 'delete' ? 'remove' : 'update';

  return async (ctx, { input: given, json, preconditions }) => {
    const { params, query } = given;
    const isTried = query['dryRun'] === true;
    const deadline = deadlineOf(ctx);
    const input = prepare ? { ...given, body: await inTime(deadline, prepare(given)) } : given;
    const key = isIdempotent(route) && !isTried ? keyOf(ctx, json) : undefined;
    let noted: Done | undefined;

    const work = async (): Promise<Reply | Problem> => {
      // An earlier attempt has left nothing behind.
      noted = undefined;
      // The caller's rights may have changed while this request was queued.
      const who = await confirm(caller());
      requireAccess(policy, who);
      return runAs(who, workAs);
    };
    const workAs = async (): Promise<Reply | Problem> => {
      const earlier = key && (await recall(key));
      if (earlier) return earlier;
      if (about && preconditions) {
        if (current) requireMatch(about, await current(params), preconditions);
        else await requireVersion(about, params.id as Types.ObjectId, preconditions, right);
      }
      const { value, done } = await recording(() => handler(input));
      await record({ operation: operationId, method: ctx.method, path: ctx.path }, done);
      noted = done;
      if (value instanceof Problem) return value;
      const reply = answer(ctx, value, query);
      if (key) remember(key, reply);
      return reply;
    };

    const claims = {
      holds: holds?.(input).map(guarded),
      changes: itemOf(route, params),
      deadline: deadline - GRACE,
    };
    const outcome = await (shares && !isTried
      ? together(route, work, claims)
      : transaction(work, { ...claims, dry: isTried }));
    if (noted && !isTried) {
      logEvents(ctx, noted.events);
      if (noted.mails.length > 0) sendMails(noted.mails, logOf(ctx));
    }
    if (outcome instanceof Problem) throw outcome;
    return outcome;
  };
}

/** The document that a request is about, if any. */
const itemOf = ({ path }: Route, { id }: Params): string | undefined =>
  id && `${path.split('/', 2)[1]}:${id.toHexString()}`;
