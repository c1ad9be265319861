import type { Context } from 'koa';
import { ANONYMOUS, type Caller, caller, runAs } from '../auth/caller.ts';
import type { SecurityEvent } from '../auth/events.ts';
import { origin } from '../auth/origin.ts';
import { budget } from '../mongo/budget.ts';
import { record } from './audit.ts';
import { inTime } from './deadline.ts';
import { logOf } from './request-log.ts';

/** The security log: lines that start with "security", for what has succeeded and for what was refused. */

/** Logs what a request has done, after its transaction. */
export function logEvents(ctx: Context, events: SecurityEvent[]): void {
  for (const event of events) logOf(ctx).info(line(event), `security: ${event.event}`);
}

/** Entries of the audit trail for what is refused, for each network: nobody must fill the database from outside. */
const ENTRIES = budget({ name: 'refusals', points: 60, seconds: 60 * 60 });

/** How long a refusal waits for its entry, in milliseconds. */
const PATIENCE = 1_000;

/** Logs a refusal and, within a limit, enters it in the audit trail. There is no transaction that could have done so. */
export async function reportRefusal(ctx: Context, event: SecurityEvent): Promise<void> {
  const who: Caller = ctx.state['caller'] ?? ANONYMOUS;
  await runAs(who, async () => {
    logOf(ctx).warn(line(event), `security: ${event.event}`);
    // Every client comes with an expired token now and then.
    if (event.reason === 'expired') return;
    try {
      await inTime(performance.now() + PATIENCE, enter(ctx, event));
    } catch {
      // The database is away, or hangs; the log has it.
    }
  });
}

async function enter(ctx: Context, event: SecurityEvent): Promise<void> {
  const { granted } = await ENTRIES.take(origin()?.networks.at(-1) ?? '');
  if (granted) await record(operationOf(ctx), { changes: [], events: [event] });
}

/** What the route is called; of a request that leads to none, nothing is refused for these reasons. */
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
