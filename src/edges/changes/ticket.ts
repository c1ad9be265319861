import { timingSafeEqual } from 'node:crypto';
import { Types } from 'mongoose';
import type { Caller } from '../../auth/caller.ts';
import { seal } from '../../auth/tokens.ts';
import { unauthenticated } from '../../errors.ts';

/**
 * Tickets are for clients that cannot send a header, such as a browser's EventSource. A ticket is part of a URL, which
 * others may see; so it opens one feed, for 15 minutes, and is revoked with its session.
 */

export const TICKET_SECONDS = 15 * 60;

const PURPOSE = 'feed ticket';

export function makeTicket(path: string, { id, session }: Caller): string {
  const until = Math.floor(Date.now() / 1000) + TICKET_SECONDS;
  const claims = `${String(id)}.${String(session)}.${until.toString(36)}`;
  return `${claims}.${sealOf(path, claims)}`;
}

/** The user and session of a ticket for this feed; whether the session still exists is checked elsewhere. */
export function readTicket(path: string, ticket: string): Caller {
  const [, claims = '', user, session, until = '', seal = ''] =
    /^(([0-9a-f]{24})\.([0-9a-f]{24})\.([0-9a-z]{1,9}))\.([\w-]{43})$/.exec(ticket) ?? [];
  const isOurs = claims !== '' && timingSafeEqual(Buffer.from(seal), Buffer.from(sealOf(path, claims)));
  if (!isOurs) throw unauthenticated('The ticket is not valid for this feed.');
  if (Number.parseInt(until, 36) * 1000 <= Date.now()) throw unauthenticated('The ticket has expired.');
  return { kind: 'user', id: new Types.ObjectId(user), session: new Types.ObjectId(session) };
}

const sealOf = (path: string, claims: string): string => seal(`${PURPOSE} ${path} ${claims}`);
