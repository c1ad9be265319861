import type { Span } from '@opentelemetry/api';
import type { mongo } from 'mongoose';
import type { Tracing } from './load.ts';

const watched = new WeakSet<mongo.MongoClient>();

/**
 * A span per database command of a request, by the semantic conventions for databases, without the command's values.
 * The connection must have been made with `monitorCommands`.
 */
export function traceCommands(client: mongo.MongoClient, { SpanKind, SpanStatusCode, trace }: Tracing): void {
  if (watched.has(client)) return;
  watched.add(client);
  const tracer = trace.getTracer('shelfmark');
  const spans = new Map<number, Span>();
  client.on('commandStarted', ({ requestId, commandName, command, databaseName, address }) => {
    if (!trace.getActiveSpan()) return;
    const collection = collectionIn(command[commandName]);
    const attributes = {
      'db.system.name': 'mongodb',
      'db.namespace': databaseName,
      'db.operation.name': commandName,
      'server.address': address,
      ...(collection && { 'db.collection.name': collection }),
    };
    const name = collection ? `${commandName} ${collection}` : commandName;
    spans.set(requestId, tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }));
  });
  const end = (requestId: number, failure?: Error): void => {
    const span = spans.get(requestId);
    spans.delete(requestId);
    if (failure) span?.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
    span?.end();
  };
  client.on('commandSucceeded', ({ requestId }) => end(requestId));
  client.on('commandFailed', ({ requestId, failure }) => end(requestId, failure));
}

/** Most commands have a collection's name as their value. */
const collectionIn = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
