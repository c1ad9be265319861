import accepts from 'accepts';
import type { Context } from 'koa';

/** A parameter of a media range other than `q`, whose value may be quoted. */
const PARAMETER = /;\s*(?!q\s*=)[^\s;,="]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^;,]*))?/gi;

/**
 * The one of these media types that the client likes best (RFC 9110, section 12.5.1), false where it likes none.
 * Parameters do not matter: `application/json; charset=utf-8` is JSON, too.
 */
export function accepted({ req }: Context, types: string[]): string | false {
  const { accept: asked = '*/*' } = req.headers;
  const [first = false] = types;
  if (asked === '*/*' || asked === first) return first;
  const accept = asked.replace(PARAMETER, '');
  return accepts({ headers: { accept } } as typeof req).type(types) as string | false;
}
