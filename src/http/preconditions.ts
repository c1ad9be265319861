import type { Context } from 'koa';
import { invalid, Problem } from '../errors.ts';
import { type Preconditions, type Tags, weak } from '../schema/etag.ts';

/** The preconditions of a request (RFC 9110, section 13). */

const TAG = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/;
const TAGS = new RegExp(`^\\s*${TAG.source}(?:\\s*,\\s*${TAG.source})*\\s*$`);

/** An entity tag, optionally with the suffix of a compressed answer: see compression.ts. */
const CODED = /^((?:W\/)?"[\w-]{22})-(?:br|gzip)"$/;

/** The preconditions of a request; undefined if it has none. Refuses headers that are not lists of entity tags. */
export function preconditionsOf(ctx: Context): Preconditions | undefined {
  const match = tagsIn('If-Match', ctx.get('If-Match'));
  const noneMatch = tagsIn('If-None-Match', ctx.get('If-None-Match'));
  return match || noneMatch ? { match, noneMatch } : undefined;
}

function tagsIn(header: string, value: string): Tags | undefined {
  if (value === '') return undefined;
  const tags = parseTags(value);
  if (tags) return tags;
  throw invalid([{ in: 'header', parameter: header, code: 'invalid_format', message: TAGS_EXPECTED }]);
}

export const TAGS_EXPECTED = 'must be * or a list of entity tags, each in quotes: "abc", "def"';

/** undefined if it is neither `*` nor a list of entity tags. */
export function parseTags(value: string): Tags | undefined {
  if (value.trim() === '*') return '*';
  if (!TAGS.test(value)) return undefined;
  return (value.match(new RegExp(TAG, 'g')) as string[]).map((tag) => tag.replace(CODED, '$1"'));
}

/** Whether the client already has this version, so that the answer is a 304. */
export const isKnown = ({ noneMatch }: Preconditions = {}, etag: string | undefined): boolean =>
  etag !== undefined && (noneMatch === '*' || noneMatch?.map(weak).includes(weak(etag)) === true);

/** Refuses preconditions on requests that are not about a version of one document: a create, a login, a batch. */
export function refusePreconditions({ match, noneMatch }: Preconditions = {}): void {
  if (noneMatch || (match && match !== '*'))
    throw new Problem(
      'precondition_failed',
      `${noneMatch ? 'If-None-Match' : 'If-Match'} is not supported here: the request is not about a version of one document.`,
    );
}
