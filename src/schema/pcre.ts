export type Pattern = Pick<RegExp, 'source' | 'flags'>;

/** A regular expression of JavaScript in MongoDB's dialect (PCRE2). Throws an Error that says what has no equivalent. */
export const toPcre = (pattern: Pattern): string => translate(pattern).pcre;

/**
 * Why a definition cannot have this regular expression: where the two dialects differ, the database would refuse what
 * the API accepts. Undefined, if it can.
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

/** With the first token, if any, that takes half of a surrogate pair; `*` behind it takes the other half, too. */
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

/** JavaScript's white space, of which PCRE's \s knows the ASCII part only. */
const SPACE =
  '\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}';

const OUTSIDE: Record<string, string> = {
  // In PCRE a line break may follow what `$` matches, and \n is the only one that the dot does not.
  $: '\\z',
  '.': '[^\\n\\r\\x{2028}\\x{2029}]',
  '\\s': `[${SPACE}]`,
  '\\S': `[^${SPACE}]`,
  '\\v': '\\x0B',
  '[]': '(?!)',
  '[^]': '[\\s\\S]',
};

/** In JavaScript a bracket inside brackets is a character like any other. */
const IN_CLASS: Record<string, string> = {
  '\\s': SPACE,
  '\\v': '\\x0B',
  '[': '\\[',
  '[]': '\\[]',
  '[^]': '\\[^]',
};

/** Behind a backslash, other letters mean themselves in JavaScript, and something else in PCRE. */
function known(token: string): string {
  if (/^\\[A-Za-z]$/.test(token) && !/[bBcdDfknpPrStwWx]$/.test(token))
    throw new Error(`${token}, which MongoDB understands differently`);
  return token;
}
