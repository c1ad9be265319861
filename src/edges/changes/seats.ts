import { Problem } from '../../errors.ts';
import { seats } from '../../http/seats.ts';

/** Each feed keeps a connection open. */
export const takeSeat = seats({
  kind: 'feed',
  perAccount: 50,
  perAddress: 500,
  refuse: (most) => new Problem('too_many_feeds', `A client may have ${most} feeds open at a time.`),
});
