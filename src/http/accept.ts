import accepts from 'accepts';
import type { Context } from 'koa';

/** A parameter of a media range other than `q`, whose value may be quoted. */
const PARAMETER = /;\s*(?!q\s*=)[^\s;,="]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^;,]*))?/gi;

/**
 * Returns the media type that the client prefers (RFC 9110, section 12.5.1), or false if it accepts none of these.
 * Parameters are ignored: `application/json; charset=utf-8` matches JSON.
 */
export function accepted({ req }: Context, types: string[]): string | false {
  const { accept: asked = '*/*' } = req.headers;
  const [first = false] = types;
  if (asked === '*/*' || asked === first) return first;
  const accept = asked.replace(PARAMETER, '');
  return accepts({ headers: { accept } } as typeof req).type(types) as string | false;
}
