import * as tracing from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { pino } from 'pino';
import { aTag } from './sample/factories.ts';
import { useApi } from './support/harness.ts';

/** What OpenTelemetry is told, by its own SDK. */

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();

const lines: any[] = [];
const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
const api = useApi({ tracing, logger }, { monitorCommands: true });
beforeEach(() => {
  exporter.reset();
  lines.length = 0;
});
afterAll(async () => {
  await provider.shutdown();
  tracing.trace.disable();
  tracing.context.disable();
  tracing.propagation.disable();
});

const [TRACE, PARENT] = ['a'.repeat(32), 'b'.repeat(16)];
const headers = { traceparent: `00-${TRACE}-${PARENT}-01` };

/** The spans of the last request, by their names. */
function spans() {
  const all = exporter.getFinishedSpans();
  const request = all.find(({ kind }) => kind === tracing.SpanKind.SERVER);
  if (!request) throw new Error('No request has been traced.');
  const inside = all.filter((span) => span.parentSpanContext?.spanId === request.spanContext().spanId);
  return { request, names: inside.map(({ name }) => name) };
}

test('a request is a span of the trace that its client is in, with its stages and commands', async () => {
  const tag = await aTag();
  exporter.reset();
  await api.patch(`/tags/${tag._id}`, { description: 'Cold' }, { headers });
  const { request, names } = spans();
  expect(request.name).toBe('PATCH /tags/:id');
  expect(request.spanContext().traceId).toBe(TRACE);
  expect(request.parentSpanContext?.spanId).toBe(PARENT);
  expect(request.attributes).toMatchObject({
    'http.route': '/tags/:id',
    'http.response.status_code': 200,
    'shelfmark.operation': 'updateTag',
  });
  expect(names).toEqual(expect.arrayContaining(['caller', 'parse', 'plan', 'write', 'aggregate sessions']));
  expect(names).toEqual(expect.arrayContaining(['bulkWrite', 'commitTransaction']));
  // Nothing of what clients store.
  expect(JSON.stringify(exporter.getFinishedSpans().map(({ attributes }) => attributes))).not.toMatch(/Cold/);
});

test('without a traceparent a trace begins; the log and problem documents have its id', async () => {
  const { body } = await api.post('/tags', { name: '' });
  const { request } = spans();
  const { traceId } = request.spanContext();
  expect(body).toMatchObject({ code: 'validation_failed', traceId });
  expect(request.parentSpanContext).toBeUndefined();
  expect(request.attributes['error.type']).toBe('validation_failed');
  expect(lines.find(({ res }) => res?.status === 422)).toMatchObject({ trace: traceId });
});
