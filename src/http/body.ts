import { TextDecoder } from 'node:util';
import type { Context } from 'koa';
import bodyParser from 'koa-bodyparser';
import type { z } from 'zod';
import { Problem } from '../errors.ts';
import { type Body, FORM_TYPE, JSON_TYPE } from './route.ts';

const MAX_BODY = 100 * 1024;
const MAX_DEPTH = 20;

const parser = (limit: number, types: string[]) =>
  bodyParser({
    enableTypes: types.includes(FORM_TYPE) ? ['form'] : ['json'],
    jsonLimit: `${limit}b`,
    formLimit: `${limit}b`,
    extendTypes: { json: ['application/*+json'] },
    onerror: (error, ctx) => {
      // The parser stops reading at the first fault; unread bytes would block the connection.
      ctx.req.resume();
      throw toProblem(error as ParserError, limit);
    },
  });

/**
 * Compiles what a route takes into the function that reads a body, JSON or a form, and says by which schema it is to be
 * checked: its media type tells. koa-bodyparser takes a wrong media type, an empty body and broken UTF-8 without a word,
 * and inflates compressed bodies; all four are refused here.
 */
export const bodyReader = (bodies: Body<z.ZodType>[]) => {
  const schemas = new Map(
    bodies.flatMap(({ types = [JSON_TYPE], schema }) => types.map((type) => [type, schema])),
  );
  const parse = parser(bodies[0]?.limit ?? MAX_BODY, [...schemas.keys()]);
  return async (ctx: Context): Promise<{ json: unknown; schema: z.ZodType }> => {
    const type = checkMediaType(ctx, [...schemas.keys()]);
    const bytes = watchBytes(ctx);
    await parse(ctx as Parameters<typeof parse>[0], async () => {});
    if (bytes.count === 0)
      throw new Problem('malformed_json', `The body is empty; send ${[...schemas.keys()].join(' or ')}.`);
    if (bytes.broken()) throw new Problem('malformed_json', 'The body is not valid UTF-8.');
    const json: unknown = ctx.request.body;
    if (deeperThan(MAX_DEPTH, json))
      throw new Problem('malformed_json', `The body is nested deeper than ${MAX_DEPTH} levels.`);
    return { json, schema: schemas.get(type) as z.ZodType };
  };
};

/** Answers the media type of the body, if it is one of these. */
function checkMediaType(ctx: Context, types: string[]): string {
  const accepted = { headers: { [ctx.method === 'PATCH' ? 'Accept-Patch' : 'Accept']: types.join(', ') } };
  const [type = '', ...parameters] = (ctx.get('Content-Type') || '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  if (!types.includes(type))
    throw new Problem(
      'unsupported_media_type',
      `${type ? `Content-Type ${JSON.stringify(type.slice(0, 100))} is not taken` : 'The Content-Type is missing'}; send ${types.join(' or ')}.`,
      accepted,
    );
  const charsets = parameters.filter((parameter) => parameter.startsWith('charset='));
  if (!charsets.every((charset) => /^charset="?utf-?8"?$/.test(charset)))
    throw new Problem('unsupported_media_type', 'The body is taken in UTF-8 only.', accepted);
  const encoding = ctx.get('Content-Encoding').toLowerCase();
  if (encoding !== '' && encoding !== 'identity')
    throw new Problem('unsupported_media_type', 'Compressed bodies are not taken.', {
      headers: { 'Accept-Encoding': 'identity' },
    });
  return type;
}

/** Looks at the bytes as the parser reads them. */
function watchBytes(ctx: Context) {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const bytes = {
    count: 0,
    invalid: false,
    broken: () => bytes.invalid || !decodes(decoder),
  };
  ctx.req.on('data', (chunk: Buffer) => {
    bytes.count += chunk.length;
    bytes.invalid ||= !decodes(decoder, chunk);
  });
  return bytes;
}

const decodes = (decoder: TextDecoder, chunk?: Buffer): boolean => {
  try {
    decoder.decode(chunk, { stream: chunk !== undefined });
    return true;
  } catch {
    return false;
  }
};

const deeperThan = (levels: number, value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((item) => deeperThan(levels - 1, item)));

interface ParserError extends Error {
  type?: string;
  status?: number;
}

const toProblem = (error: ParserError, limit: number): Error => {
  if (error.type === 'entity.too.large')
    return new Problem('body_too_large', `The body may have at most ${limit / 1024} KiB.`);
  if (error.message.includes('forbidden prototype'))
    return new Problem('malformed_json', 'The body has a key __proto__, which is not taken.');
  // The parser's own words may quote the body, so they stay behind.
  const position = /position (\d+)/.exec(error.message)?.[1];
  if (error.status === 400)
    return new Problem(
      'malformed_json',
      `The body is not a JSON object or array${position ? `: see position ${position}` : ''}.`,
    );
  return error;
};
