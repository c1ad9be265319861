import { createHash } from 'node:crypto';
import { Problem } from '../errors.ts';
import { memoized } from './memoized.ts';
import type { AnyResource } from './resource.ts';
import { shapeOf } from './shape.ts';

/**
 * The version of a stored document, as a strong entity tag (RFC 9110, section 8.8.3). A digest of its content, so it
 * survives restarts and changes when any tool changes the document. Only fields that the caller may read are included:
 * otherwise the tag would confirm guesses of hidden ones.
 */
export const etagOf = (resource: AnyResource, stored: unknown): string =>
  strong(JSON.stringify(contentOf(resource, stored)));

/** The strong entity tag of an answer with this content. */
export const strong = (content: string | Buffer): string => `"${digest(content)}"`;

/** The fields of a stored document that the caller may read, as JSON. */
export const contentOf = (resource: AnyResource, stored: unknown): Record<string, unknown> =>
  shapes(resource)(stored) as Record<string, unknown>;

const shapes = memoized(({ document }: AnyResource) => shapeOf(document));

export const digest = (content: string | Buffer): string =>
  createHash('sha256').update(content).digest('base64url').slice(0, 22);

/** The list of entity tags in a header, or `*` for any version. */
export type Tags = '*' | string[];

/** If-Match and If-None-Match of a request that may change a document (RFC 9110, section 13). */
export interface Preconditions {
  match?: Tags | undefined;
  noneMatch?: Tags | undefined;
}

/** The tag for weak comparison (RFC 9110, section 8.8.3.2). */
export const weak = (etag: string): string => etag.replace(/^W\//, '');

/**
 * Refuses to change a document whose version does not meet the preconditions; the answer carries the current tag. For
 * a missing document only If-None-Match can be met.
 */
export function requireMatch(
  resource: AnyResource,
  current: unknown,
  { match, noneMatch }: Preconditions,
): void {
  if (current === undefined) {
    if (match)
      throw new Problem('precondition_failed', 'The document does not exist, so If-Match cannot hold.');
    return;
  }
  const etag = etagOf(resource, current);
  const refuse = (detail: string) => {
    throw new Problem('precondition_failed', detail, { headers: { ETag: etag } });
  };
  if (noneMatch === '*' || noneMatch?.map(weak).includes(etag))
    refuse('The document already exists in a version that If-None-Match excludes.');
  if (match === undefined || match === '*' || match.includes(etag)) return;
  if (match.every((tag) => tag.startsWith('W/')))
    refuse(
      'If-Match requires a strong entity tag, and a weak one was sent: use the ETag of the document read without include and fields.',
    );
  refuse('The document has changed since you read it: read it again, then retry.');
}
