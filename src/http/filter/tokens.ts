/** The tokens of an expression, with their positions. */

export interface Token {
  kind: 'word' | 'text' | 'symbol' | 'end';
  /** For a text, the characters between its quotes, unescaped. */
  text: string;
  /** The position of its first character, counted from 0. */
  at: number;
}

/** A syntax error of an expression, and its position. */
export class SyntaxFault extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

const SPACE = /\s*/y;
const TOKEN =
  /(?<symbol>[!<>]=|[=<>(),])|(?<word>[\p{L}\p{N}_.:+-]+)|"(?<double>(?:[^"\\]|\\["'\\])*)"|'(?<single>(?:[^'\\]|\\["'\\])*)'/uy;

export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    SPACE.lastIndex = at;
    at += SPACE.exec(source)?.[0].length ?? 0;
    if (at === source.length) return [...tokens, { kind: 'end', text: '', at }];
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(source);
    if (!found) throw new SyntaxFault(at, whyNot(source, at));
    const { symbol, word, double, single } = found.groups as Record<string, string | undefined>;
    const quoted = double ?? single;
    if (symbol !== undefined) tokens.push({ kind: 'symbol', text: symbol, at });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, at });
    else tokens.push({ kind: 'text', text: (quoted as string).replace(/\\(.)/g, '$1'), at });
    at += found[0].length;
  }
}

function whyNot(source: string, at: number): string {
  const character = String.fromCodePoint(source.codePointAt(at) as number);
  return character === '"' || character === "'"
    ? `the text that begins here has no closing ${character}, or a \\ that escapes neither a quote nor a \\`
    : `${JSON.stringify(character)} has no meaning outside quotes`;
}

/** A token as messages show it. */
export const shown = ({ kind, text }: Token): string =>
  kind === 'end' ? 'the end' : JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
