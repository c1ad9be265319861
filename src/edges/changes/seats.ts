import type { Context } from 'koa';
import { Problem } from '../../errors.ts';
import { clientOf } from '../../http/limits.ts';
import { streams } from '../../measures.ts';

/** How many feeds may be open, in a process: each is a connection that stays. */
const MAX_FEEDS = 8_000;
const MAX_PER_ACCOUNT = 50;
/** Behind an address there may be many. */
const MAX_PER_ADDRESS = 500;

const taken = new Map<string, number>();
let all = 0;

/** Takes a seat for a client, until the function that it answers is called. */
export function takeSeat(ctx: Context): () => void {
  const { account, address } = clientOf(ctx);
  const client = account ?? address;
  const own = taken.get(client) ?? 0;
  if (all >= MAX_FEEDS) throw new Problem('too_many_streams', 'Too many feeds are open; try again soon.');
  const most = account ? MAX_PER_ACCOUNT : MAX_PER_ADDRESS;
  if (own >= most) throw new Problem('too_many_feeds', `A client may have ${most} feeds open at a time.`);
  all++;
  streams.publish({ kind: 'feed', change: 1 });
  taken.set(client, own + 1);
  let isLeft = false;
  return () => {
    if (isLeft) return;
    isLeft = true;
    all--;
    streams.publish({ kind: 'feed', change: -1 });
    const left = (taken.get(client) ?? 1) - 1;
    if (left > 0) taken.set(client, left);
    else taken.delete(client);
  };
}
