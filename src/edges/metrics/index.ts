import type Koa from 'koa';
import type { Context } from 'koa';
import { type Caller, hasRole } from '../../auth/caller.ts';
import type { Origin } from '../../auth/origin.ts';
import type { Edge } from '../../http/edge.ts';
import { stagesOf } from '../../http/stages.ts';
import type { Metrics } from './registry.ts';

interface Settings {
  /** Receives the measurements of requests; undefined: none are recorded. */
  metrics?: Metrics | undefined;
  /** Whether everybody gets Server-Timing, not only admins. */
  isDevelopment: boolean;
}

/** Measures requests, and reports their stages in the header Server-Timing. */
export const metrics = (settings: Settings): Edge => ({
  routes: [],
  attach: (app: Koa) =>
    app.use(async (ctx, next) => {
      const start = performance.now();
      const seconds = () => (performance.now() - start) / 1_000;
      settings.metrics?.underWay.inc();
      ctx.res.once('close', () => {
        const operation = String(ctx.state['operation'] ?? 'none');
        settings.metrics?.underWay.dec();
        settings.metrics?.requests.observe({ operation, status: ctx.res.statusCode }, seconds());
      });
      await next();
      if (!ctx.res.headersSent && (settings.isDevelopment || isAdmin(ctx))) tellTimes(ctx, seconds() * 1_000);
    }),
});

const isAdmin = (ctx: Context): boolean => {
  const who = ctx.state['caller'] as Caller | undefined;
  return who !== undefined && hasRole(who, 'admin');
};

/** W3C Server Timing, in milliseconds. */
function tellTimes(ctx: Context, total: number): void {
  const { database } = ctx.state['origin'] as Origin;
  const stages = stagesOf(ctx).map(({ name, start, end }) => timing(name, end - start));
  const commands = `${timing('database', database.milliseconds)};desc="${database.count} commands"`;
  ctx.set('Server-Timing', [timing('total', total), ...stages, commands].join(', '));
}

const timing = (name: string, milliseconds: number): string => `${name};dur=${milliseconds.toFixed(1)}`;
