import type { Context } from 'koa';
import { ANONYMOUS, type Caller, caller, runAs } from '../auth/caller.ts';
import type { SecurityEvent } from '../auth/events.ts';
import { origin } from '../auth/origin.ts';
import { budget } from '../mongo/budget.ts';
import { record } from './audit.ts';
import { inTime } from './deadline.ts';
import { logOf } from './request-log.ts';

/** The security log: lines that start with "security", for events that succeeded and for refusals. */

/** Logs the events of a request, after its transaction. */
export function logEvents(ctx: Context, events: SecurityEvent[]): void {
  for (const event of events) logOf(ctx).info(line(event), `security: ${event.event}`);
}

/** Audit entries for refusals, per network: outsiders must not be able to fill the database. */
const ENTRIES = budget({ name: 'refusals', points: 60, seconds: 60 * 60 });

/** How long a refusal waits for its audit entry, in milliseconds. */
const PATIENCE = 1_000;

/**
 * Logs a refusal and, within a limit, records it in the audit trail; a refused request has no transaction to do so.
 */
export async function reportRefusal(ctx: Context, event: SecurityEvent): Promise<void> {
  const who: Caller = ctx.state['caller'] ?? ANONYMOUS;
  await runAs(who, async () => {
    logOf(ctx).warn(line(event), `security: ${event.event}`);
    // Expired tokens are ordinary.
    if (event.reason === 'expired') return;
    try {
      await inTime(performance.now() + PATIENCE, enter(ctx, event));
    } catch {
      // The database is unavailable or hangs; the log has the refusal.
    }
  });
}

async function enter(ctx: Context, event: SecurityEvent): Promise<void> {
  const { granted } = await ENTRIES.take(origin()?.networks.at(-1) ?? '');
  if (granted) await record(operationOf(ctx), { changes: [], events: [event] });
}

/** The name of the route. Requests that match no route are never refused for these reasons. */
const operationOf = (ctx: Context) => ({
  operation: String(ctx.state['operation']),
  method: ctx.method,
  path: ctx.path,
});

const line = ({ event, account, reason }: SecurityEvent) => {
  const { address, clientRequest } = origin() ?? {};
  const { id, key } = caller();
  const actor = id ?? (event === 'login' ? account : undefined);
  return { security: { event, account, reason, actor, key, address, clientRequest } };
};
