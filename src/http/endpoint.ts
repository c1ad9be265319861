import type { Middleware } from 'koa';
import { caller } from '../auth/caller.ts';
import { Problem, unauthenticated } from '../errors.ts';
import { answering } from './answer.ts';
import { asking } from './asked.ts';
import { deadlineOf, inTime } from './deadline.ts';
import type { Confirm } from './entrance.ts';
import { entryOf } from './entry.ts';
import { routeLimits } from './limits.ts';
import { asOAuth } from './oauth.ts';
import { endWithRights } from './revoked.ts';
import { sharing } from './sharing.ts';
import { send, sendFresh, sendPreferred } from './reply.ts';
import { isPreferable, type Route, writes } from './route.ts';
import { begin } from './stages.ts';
import { wantsSocket } from './upgrade.ts';
import { writing } from './written.ts';

/**
 * A route as Koa runs it, after authentication. A request becomes four values: what was asked → what is allowed → what
 * was done → the answer. Everything that depends on the route alone is decided here, once.
 */
export function endpoint(route: Route, confirm: Confirm): Middleware {
  const { forms = {}, handler, oauth, socket } = route;
  const ask = asking(route);
  const count = routeLimits(route.limits);
  const enter = entryOf(route);
  const answer = answering(route);
  const write = writing(route, confirm, answer);

  const serve: Middleware = async (ctx) => {
    const parsed = begin(ctx, 'parse');
    const asked = await ask(ctx);
    parsed();
    const { input, type, preconditions } = asked;
    // A dry run would reveal which documents exist and leave no trace.
    if (input.query['dryRun'] && caller().kind === 'anonymous') throw unauthenticated();
    const deadline = deadlineOf(ctx);
    const planned = begin(ctx, 'plan');
    await inTime(deadline, count(ctx, input.body));

    if (socket && wantsSocket(ctx.req)) return socket(ctx, input);
    const form = forms[type];
    if (form) {
      await form.send(ctx, input);
      // A feed does this itself, at once.
      if (!socket) endWithRights(ctx, confirm);
      return;
    }
    if (!writes(route)) {
      const read = async (start: () => void) => {
        const work = () => {
          planned();
          start();
          return handler(input);
        };
        return answer(ctx, await enter(input.query, work), input.query);
      };
      return sendFresh(ctx, await inTime(deadline, sharing(ctx, read)), preconditions);
    }
    const reply = await enter(input.query, () => {
      planned();
      return write(ctx, asked).finally(begin(ctx, 'write'));
    });
    return isPreferable(route) ? sendPreferred(ctx, reply) : send(ctx, reply);
  };

  if (!oauth) return serve;
  return async (ctx, next) => {
    try {
      await serve(ctx, next);
    } catch (error) {
      throw error instanceof Problem ? asOAuth(error) : error;
    }
  };
}
