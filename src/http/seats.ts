import type { Context } from 'koa';
import { Problem } from '../errors.ts';
import { streams } from '../measures.ts';
import { clientOf } from './limits.ts';

type Kind = 'feed' | 'export';

/** The limits of a process, by kind: MAX_FEEDS and MAX_EXPORTS. */
const totals: Record<Kind, number> = { feed: 8_000, export: 50 };
export const useSeats = (own: typeof totals): void => void Object.assign(totals, own);

/** The most long-lived answers, such as streams, that a process has at a time, and that one client has. */
interface Seats {
  kind: Kind;
  perAccount: number;
  /** An address may have many clients behind it. */
  perAddress: number;
  /** The message for a client that has reached its limit. */
  refuse: (most: number) => Problem;
}

/** Takes a seat for a client before any work is done; the function that it returns gives the seat back. */
export function seats({ kind, perAccount, perAddress, refuse }: Seats): (ctx: Context) => () => void {
  const taken = new Map<string, number>();
  let all = 0;
  return (ctx) => {
    const { account, address } = clientOf(ctx);
    const client = account ?? address;
    const own = taken.get(client) ?? 0;
    if (all >= totals[kind])
      throw new Problem('too_many_streams', 'Too many streams are open; try again soon.', {
        cause: `All ${totals[kind]} places for streams of this kind (${kind}) are taken.`,
      });
    const most = account ? perAccount : perAddress;
    if (own >= most) throw refuse(most);
    all++;
    streams.publish({ kind, change: 1 });
    taken.set(client, own + 1);
    let isLeft = false;
    return () => {
      if (isLeft) return;
      isLeft = true;
      all--;
      streams.publish({ kind, change: -1 });
      const left = (taken.get(client) ?? 1) - 1;
      if (left > 0) taken.set(client, left);
      else taken.delete(client);
    };
  };
}
