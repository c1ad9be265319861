import type { Context } from 'koa';
import { digest } from '../schema/etag.ts';
import { shapeOf } from '../schema/shape.ts';
import type { Reply } from './reply.ts';
import { Created, Json, type Route, writes } from './route.ts';

/** Builds the answer from the handler's return value. */
export type Answering = (ctx: Context, result: unknown, query: unknown) => Reply;

/** The last of the four values of a request: status, headers and body of the answer. */
export function answering(route: Route): Answering {
  const { answer } = route;
  const shape = answer.schema ? shapeOf(answer.schema) : undefined;
  const headers = Object.entries(answer.headers ?? {});

  return (ctx, result, query) => {
    const isNew = result instanceof Created;
    const value = isNew ? result.document : result;
    const body = value instanceof Json ? value.text : shape ? JSON.stringify(shape(value)) : null;
    const made: Record<string, string> = {};
    for (const [name, header] of headers) {
      const content = header.value(value as never, ctx);
      if (content !== undefined) made[name] = content;
    }
    const etag =
      answer.etag?.(value, query) ?? (writes(route) || body === null ? undefined : `W/"${digest(body)}"`);
    return {
      status: isNew ? 201 : answer.status,
      headers: { ...made, ...(etag && { ETag: etag }) },
      body,
    };
  };
}
