import type { Span } from '@opentelemetry/api';
import type { Context } from 'koa';
import mongoose from 'mongoose';
import type { Problem } from '../../errors.ts';
import type { Edge } from '../../http/edge.ts';
import { addressOf } from '../../http/address.ts';
import { stagesOf } from '../../http/stages.ts';
import { traceCommands } from './commands.ts';
import type { Tracing } from './load.ts';

/** OpenTelemetry: a span per request, containing its stages and database commands. */
export const traces = ({ tracing }: { tracing?: Tracing | undefined }): Edge => ({
  routes: [],
  attach: (app) => {
    if (!tracing) return;
    const { context, isSpanContextValid, propagation, SpanKind, trace } = tracing;
    const tracer = trace.getTracer('shelfmark');
    app.use((ctx, next) => {
      // A span is active if an instrumentation of node:http has started one.
      const active = context.active();
      const parent = trace.getActiveSpan() ? active : propagation.extract(active, ctx.headers);
      const span = tracer.startSpan(ctx.method, { kind: SpanKind.SERVER }, parent);
      const own = trace.setSpan(parent, span);
      if (isSpanContextValid(span.spanContext())) ctx.state['trace'] = span.spanContext().traceId;
      ctx.res.once('close', () => {
        for (const { name, start, end } of stagesOf(ctx))
          tracer.startSpan(name, { startTime: toTime(start) }, own).end(toTime(end));
        finish(ctx, span, tracing);
      });
      return context.with(own, next);
    });
    app.on('listening', () => traceCommands(mongoose.connection.getClient(), tracing));
  },
});

/** Converts performance.now() to wall-clock time. */
const toTime = (moment: number): number => performance.timeOrigin + moment;

/** By the semantic conventions for HTTP. */
function finish(ctx: Context, span: Span, { SpanStatusCode }: Tracing): void {
  const { operation, route, problem } = ctx.state as {
    operation?: string;
    route?: string;
    problem?: Problem;
  };
  const { statusCode } = ctx.res;
  if (route) span.updateName(`${ctx.method} ${route}`).setAttribute('http.route', route);
  span.setAttributes({
    'http.request.method': ctx.method,
    'http.response.status_code': statusCode,
    'url.path': ctx.path,
    'url.scheme': ctx.protocol,
    'client.address': addressOf(ctx) ?? '',
    ...(operation && { 'shelfmark.operation': operation }),
    ...(problem && { 'error.type': problem.code }),
  });
  if (statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}
