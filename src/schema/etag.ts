import { createHash } from 'node:crypto';
import { Problem } from '../errors.ts';
import type { AnyResource } from './resource.ts';
import { shapeOf } from './shape.ts';

/**
 * The version of a stored document, as a strong entity tag (RFC 9110, section 8.8.3). Made from its content, so that
 * it is the same after a restart and another after a change by any tool; from what the caller may see of it and
 * nothing else, because whoever guesses the rest could check it by the tag.
 */
export const etagOf = (resource: AnyResource, stored: unknown): string => {
  const content = contents.get(resource) ?? shapeOf(resource.document);
  contents.set(resource, content);
  return `"${digest(JSON.stringify(content(stored)))}"`;
};

const contents = new WeakMap<AnyResource, ReturnType<typeof shapeOf>>();

export const digest = (text: string): string =>
  createHash('sha256').update(text).digest('base64url').slice(0, 22);

/** What If-Match says: the versions that a client is content to change; undefined, any. */
export type IfMatch = string[] | undefined;

/** Refuses a change of another version than the client knows, with the current one. */
export function requireMatch(resource: AnyResource, current: unknown, ifMatch: IfMatch): void {
  if (!ifMatch || ifMatch.includes('*')) return;
  const etag = etagOf(resource, current);
  if (!ifMatch.includes(etag))
    throw new Problem(
      'precondition_failed',
      'It was changed since you read it: read it again, and decide anew.',
      {
        headers: { ETag: etag },
      },
    );
}
