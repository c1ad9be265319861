export type Pattern = Pick<RegExp, 'source' | 'flags'>;

/**
 * Translates a JavaScript regular expression to MongoDB's dialect (PCRE2). Throws an Error that names what has no
 * equivalent.
 */
export const toPcre = (pattern: Pattern): string => translate(pattern).pcre;

/**
 * Why a definition cannot use this regular expression: where the dialects differ, the database would refuse what the
 * API accepts. Undefined if it can.
 */
export function refusedPattern(pattern: Pattern): string | undefined {
  try {
    const { halves } = translate(pattern);
    if (!halves || pattern.flags.includes('u')) return undefined;
    return `${halves} and no flag u: a character beyond U+FFFF then counts as two, which MongoDB counts as one`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The first token that matches half of a surrogate pair, unless `*` after it matches the other half too. */
function translate({ source, flags }: Pattern): { pcre: string; halves: string | undefined } {
  const foreign = flags.replace(/[isu]/g, '');
  if (foreign) throw new Error(`the flag ${foreign}: MongoDB knows i, s and u only`);
  let inside: '' | '[' | '[^' = '';
  let halves: string | undefined;
  const pcre = source.replace(TOKEN, (token, code: string | undefined, at: number) => {
    const next = source[at + token.length];
    if (code) return `\\x{${code.replace(/[{}]/g, '')}}`;
    if (inside) {
      if (/^[^\\]*\]$/.test(token)) {
        if (inside === '[^' && next !== '*') halves ??= '[^…]';
        inside = '';
      }
      if (token === '\\S') throw new Error('\\S in brackets, which MongoDB understands differently');
      return IN_CLASS[token] ?? known(token);
    }
    if (token === '[') inside = next === '^' ? '[^' : '[';
    if (/^(\.|\\[DSWpP]|\[\^\])$/.test(token) && next !== '*') halves ??= token;
    if (token === '.' && flags.includes('s')) return '[\\s\\S]';
    return OUTSIDE[token] ?? known(token);
  });
  return { pcre: flags.includes('i') ? `(?i)${pcre}` : pcre, halves };
}

const TOKEN = /\\u([\da-fA-F]{4}|\{[\da-fA-F]+\})|\\.|\[\^?\]|[[\].$]/gs;

/** JavaScript's white space; PCRE's \s covers the ASCII part only. */
const SPACE =
  '\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}';

const OUTSIDE: Record<string, string> = {
  // In PCRE, `$` also matches before a final line break, and the dot excludes only \n.
  $: '\\z',
  '.': '[^\\n\\r\\x{2028}\\x{2029}]',
  '\\s': `[${SPACE}]`,
  '\\S': `[^${SPACE}]`,
  '\\v': '\\x0B',
  '[]': '(?!)',
  '[^]': '[\\s\\S]',
};

/** In JavaScript a bracket inside brackets is an ordinary character. */
const IN_CLASS: Record<string, string> = {
  '\\s': SPACE,
  '\\v': '\\x0B',
  '[': '\\[',
  '[]': '\\[]',
  '[^]': '\\[^]',
};

/** After a backslash, other letters are literal in JavaScript and have meanings in PCRE. */
function known(token: string): string {
  if (/^\\[A-Za-z]$/.test(token) && !/[bBcdDfknpPrStwWx]$/.test(token))
    throw new Error(`${token}, which MongoDB understands differently`);
  return token;
}
