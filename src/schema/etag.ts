import { createHash } from 'node:crypto';
import { Problem } from '../errors.ts';
import { memoized } from './memoized.ts';
import type { AnyResource } from './resource.ts';
import { shapeOf } from './shape.ts';

/**
 * The version of a stored document, as a strong entity tag (RFC 9110, section 8.8.3). Made from its content, so that
 * it is the same after a restart and another after a change by any tool; from what the caller may see of it and
 * nothing else, because whoever guesses the rest could check it by the tag.
 */
export const etagOf = (resource: AnyResource, stored: unknown): string =>
  strong(JSON.stringify(contentOf(resource, stored)));

/** The strong entity tag of what is answered with this content. */
export const strong = (content: string | Buffer): string => `"${digest(content)}"`;

/** What the caller may see of a stored document, as JSON. */
export const contentOf = (resource: AnyResource, stored: unknown): Record<string, unknown> =>
  shapes(resource)(stored) as Record<string, unknown>;

const shapes = memoized(({ document }: AnyResource) => shapeOf(document));

export const digest = (content: string | Buffer): string =>
  createHash('sha256').update(content).digest('base64url').slice(0, 22);

/** A header's list of entity tags, or `*`: any version. */
export type Tags = '*' | string[];

/** What If-Match and If-None-Match say about the version of a document that may be changed (RFC 9110, section 13). */
export interface Preconditions {
  match?: Tags | undefined;
  noneMatch?: Tags | undefined;
}

/** A tag for a comparison in which strong and weak ones can be equal (RFC 9110, section 8.8.3.2). */
export const weak = (etag: string): string => etag.replace(/^W\//, '');

/**
 * Refuses to change a document whose version does not meet the preconditions; the answer carries the current tag. Of a
 * document that is not there only If-None-Match can be met.
 */
export function requireMatch(
  resource: AnyResource,
  current: unknown,
  { match, noneMatch }: Preconditions,
): void {
  if (current === undefined) {
    if (match)
      throw new Problem('precondition_failed', 'There is no document whose version If-Match could name.');
    return;
  }
  const etag = etagOf(resource, current);
  const refuse = (detail: string) => {
    throw new Problem('precondition_failed', detail, { headers: { ETag: etag } });
  };
  if (noneMatch === '*' || noneMatch?.map(weak).includes(etag))
    refuse('The document exists in a version that If-None-Match excludes.');
  if (match === undefined || match === '*' || match.includes(etag)) return;
  if (match.every((tag) => tag.startsWith('W/')))
    refuse(
      'If-Match compares strong entity tags only, and a weak one was sent: take the ETag of the document itself, read without include and fields.',
    );
  refuse('It was changed since you read it: read it again, and decide anew.');
}
