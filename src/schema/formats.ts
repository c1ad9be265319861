import { z } from 'zod';

/** Standardised kinds of text and time, accepted as their standards define them. */

const TIME =
  /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d+)?)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i;
const SECOND = 1_000;
const DAY = 86_400 * SECOND;

/**
 * Parses an RFC 3339 time; undefined if invalid. A leap second, which JavaScript does not know, becomes the next
 * moment.
 */
export function parseTime(text: string): Date | undefined {
  const parts = TIME.exec(text);
  if (!parts) return undefined;
  const [, year, month, day] = parts;
  if (Number(day) > new Date(Date.UTC(2000 + (Number(year) % 400), Number(month), 0)).getUTCDate())
    return undefined;
  const isLeap = /:60(?=[.Z+-])/i.test(text);
  const parsed = new Date(text.toUpperCase().replace(/:60(?:\.\d+)?(?=[Z+-])/, ':59'));
  if (!isLeap) return parsed;
  const next = new Date(parsed.getTime() + SECOND);
  return next.getTime() % DAY === 0 ? next : undefined;
}

/** An RFC 3339 time in JSON, with a four-digit year. */
export const time = () =>
  z
    .string()
    .superRefine((text, ctx) => {
      const fault = (code: string, message: string) =>
        ctx.addIssue({ code: 'custom', message, params: { code } });
      const date = parseTime(text);
      const year = date?.getUTCFullYear() ?? 0;
      if (!date) fault('invalid_format', `must be a time like 2026-01-31T12:00:00Z${hint(text)}`);
      else if (year < 0 || year > 9999) fault('out_of_range', 'must be in the years 0000 to 9999, in UTC');
    })
    .meta({ format: 'date-time' });

/** In a query string a plus sign means a space. */
const hint = (text: string): string => (/ \d\d:\d\d$/.test(text) ? '; in a URL, write + as %2B' : '');

const LOCAL = '[^\\x00-\\x20"(),:;<>@[\\\\\\]\\x7F]{1,64}';
/** Letters, digits and hyphens, and all characters beyond ASCII. */
const LABEL = '(?!-)[^\\x00-,./:-@[-`{-\\x7F]{1,63}(?<!-)';

/** An e-mail address as HTML's `input type=email` accepts it, or an internationalised one (RFC 6531). */
export const email = () =>
  z
    .string()
    .regex(new RegExp(`^(?!.*\\s)${LOCAL}@${LABEL}(?:\\.${LABEL})*$`, 'u'), 'must be an e-mail address')
    .max(254);

/** A language tag (BCP 47), stored in its canonical form: `EN-us` becomes `en-US`, `eng` becomes `en`. */
export const languageTag = () =>
  z
    .string()
    .max(35)
    .regex(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$/, { error: NO_LANGUAGE, abort: true })
    .refine((tag) => canonical(tag) !== undefined, {
      error: NO_LANGUAGE,
      params: { code: 'invalid_format' },
      abort: true,
    })
    .overwrite((tag) => canonical(tag) ?? tag);

const NO_LANGUAGE = 'must be a language tag (BCP 47) such as en, pt-BR or zh-Hant';

const canonical = (tag: string): string | undefined => {
  try {
    return Intl.getCanonicalLocales(tag)[0];
  } catch {
    return undefined;
  }
};
