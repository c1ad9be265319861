import { TextDecoder } from 'node:util';
import type { Context } from 'koa';
import type { z } from 'zod';
import { Problem } from '../errors.ts';
import { type Body, FORM_TYPE, JSON_TYPE } from './route.ts';

const MAX_BODY = 100 * 1024;
const MAX_DEPTH = 20;
/** Member names make JSON expensive to parse: some microseconds each. */
const MAX_NAMES = 10_000;
const MAX_NAMES_EACH = 1_000;
/** Lists, objects and their entries; each costs about a microsecond. The largest reasonable batch has half of them. */
const MAX_VALUES = 25_000;
const MAX_FORM = 100;

/**
 * Compiles the body definition of a route into a function that reads a body and selects the schema for its media type.
 * koa-bodyparser is not used: it ignores a body whose Content-Type has a malformed parameter, replaces broken UTF-8,
 * inflates compressed bodies, and rejects JSON values that are not objects as malformed.
 */
export const bodyReader = (bodies: Body<z.ZodType>[]) => {
  const schemas = new Map(
    bodies.flatMap(({ types = [JSON_TYPE], schema }) => types.map((type) => [type, schema])),
  );
  const types = [...schemas.keys()];
  const limit = bodies[0]?.limit ?? MAX_BODY;
  return async (ctx: Context): Promise<{ json: unknown; schema: z.ZodType }> => {
    const type = checkMediaType(ctx, types);
    const bytes = await readBytes(ctx, limit);
    if (type !== FORM_TYPE) refuseExpensive(bytes);
    const text = decode(bytes);
    if (text === '') throw new Problem('malformed_json', `The body is empty; send ${types.join(' or ')}.`);
    const json = type === FORM_TYPE ? parseForm(text) : parseJson(text);
    return { json, schema: schemas.get(type) as z.ZodType };
  };
};

/** Returns the media type of the body if the route accepts it. Parameters other than `charset` are ignored. */
function checkMediaType(ctx: Context, types: string[]): string {
  const accepted = { headers: { [ctx.method === 'PATCH' ? 'Accept-Patch' : 'Accept']: types.join(', ') } };
  const [type = '', ...parameters] = (ctx.get('Content-Type') || '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  if (!types.includes(type))
    throw new Problem(
      'unsupported_media_type',
      `${type ? `Content-Type ${JSON.stringify(type.slice(0, 100))} is not accepted` : 'The Content-Type is missing'}; send ${types.join(' or ')}.`,
      accepted,
    );
  const charsets = parameters.filter((parameter) => parameter.startsWith('charset='));
  if (!charsets.every((charset) => /^charset="?utf-?8"?$/.test(charset)))
    throw new Problem('unsupported_media_type', 'The body must be in UTF-8.', accepted);
  const encoding = ctx.get('Content-Encoding').toLowerCase();
  if (encoding !== '' && encoding !== 'identity')
    throw new Problem('unsupported_media_type', 'Compressed bodies are not accepted.', {
      headers: { 'Accept-Encoding': 'identity' },
    });
  return type;
}

/**
 * Stops at the limit. The rest of a body that is too large is read and discarded, because it would block the
 * connection.
 */
async function readBytes({ req }: Context, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    const refuse = (problem: Problem) => {
      req.off('data', take).resume();
      reject(problem);
    };
    const tooLarge = () => new Problem('body_too_large', `The body may have at most ${limit / 1024} KiB.`);
    const take = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limit) refuse(tooLarge());
      else chunks.push(chunk);
    };
    if (Number(req.headers['content-length'] ?? 0) > limit) return refuse(tooLarge());
    req.on('data', take);
    req.once('end', () => resolve(Buffer.concat(chunks)));
    const ended = () =>
      refuse(new Problem('malformed_request', 'The body is shorter than its Content-Length.'));
    req.once('error', ended);
    // The client disconnected before its body was read: no further event will fire.
    if (req.destroyed) ended();
  });
}

const tooManyNames = (most: number, where: string): Problem =>
  new Problem('body_too_large', `${where} may have at most ${most} members.`);

const [QUOTE, BACKSLASH, COLON, COMMA] = ['"', '\\', ':', ','].map((one) => one.charCodeAt(0));
const [LIST, LIST_END, OBJECT, OBJECT_END] = ['[', ']', '{', '}'].map((one) => one.charCodeAt(0));

/**
 * Refuses JSON that would be expensive to parse, judged by its bytes without parsing it. Compares numbers only:
 * looking up each byte in a list would take longer than parsing.
 */
function refuseExpensive(bytes: Buffer): void {
  let [names, values, levels, isInText] = [0, 0, 0, false];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (byte === QUOTE) isInText = !isInText;
    else if (isInText) i += byte === BACKSLASH ? 1 : 0;
    else if (byte === COLON) names++;
    else if (byte === COMMA) values++;
    else if (byte === LIST || byte === OBJECT) {
      levels++;
      values++;
    } else if (byte === LIST_END || byte === OBJECT_END) levels--;
    if (levels > MAX_DEPTH)
      throw new Problem('malformed_json', `The body is nested deeper than ${MAX_DEPTH} levels.`);
    if (names > MAX_NAMES) throw tooManyNames(MAX_NAMES, 'The body');
    if (values > MAX_VALUES)
      throw new Problem('body_too_large', `The body may have at most ${MAX_VALUES} values.`);
  }
}

/** Decodes UTF-8; a byte order mark is dropped. */
function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Problem('malformed_json', 'The body is not valid UTF-8.');
  }
}

function parseJson(text: string): unknown {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    // The parser's own message may quote the body, so it is not shown.
    const position = /position (\d+)/.exec((error as Error).message)?.[1];
    throw new Problem(
      'malformed_json',
      `The body is not JSON${position ? `: see position ${position}` : ''}.`,
    );
  }
  const flaw = flawOf(json);
  if (flaw) throw flaw;
  return json;
}

function flawOf(value: unknown): Problem | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (Object.hasOwn(value, '__proto__'))
    return new Problem('malformed_json', 'The body has a member named __proto__, which is not accepted.');
  const inner = Object.values(value);
  if (inner.length > MAX_NAMES_EACH && !Array.isArray(value))
    return tooManyNames(MAX_NAMES_EACH, 'An object');
  for (const item of inner) {
    const flaw = flawOf(item);
    if (flaw) return flaw;
  }
  return undefined;
}

/** A repeated name gets both values, which no form schema accepts (RFC 6749, section 3.2). */
function parseForm(text: string): Record<string, string | string[]> {
  const form = new URLSearchParams(text);
  if (form.size > MAX_FORM) throw tooManyNames(MAX_FORM, 'The body');
  const names = [...new Set(form.keys())];
  return Object.fromEntries(
    names.map((name) => {
      const [value = '', ...more] = form.getAll(name);
      return [name, more.length > 0 ? [value, ...more] : value];
    }),
  );
}
