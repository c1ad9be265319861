import type { Context } from 'koa';
import { Problem } from '../errors.ts';
import { streams } from '../measures.ts';
import { clientOf } from './limits.ts';

type Kind = 'feed' | 'export';

/** In a process, by kind: MAX_FEEDS and MAX_EXPORTS of the environment. */
const totals: Record<Kind, number> = { feed: 8_000, export: 50 };
export const useSeats = (own: typeof totals): void => void Object.assign(totals, own);

/** How many answers that stay open, such as streams, a process has at a time, and a client of them. */
interface Seats {
  kind: Kind;
  perAccount: number;
  /** Behind an address there may be many clients. */
  perAddress: number;
  /** What a client is told that has as many as it may. */
  refuse: (most: number) => Problem;
}

/** A function that takes a seat for a client, before any work is done, until the function that it answers is called. */
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
