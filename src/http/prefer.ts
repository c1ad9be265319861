/**
 * Reads a preference from the Prefer header (RFC 7240, section 2): names in any case, bare or quoted values, spaces
 * around the equals sign, parameters, several preferences. If one is repeated, the first counts.
 */
export function preference(header: string, name: string): string | undefined {
  for (const match of header.matchAll(PREFERENCE)) {
    const [, found = '', quoted, bare] = match;
    if (found.toLowerCase() === name) return (quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '').toLowerCase();
  }
  return undefined;
}

const TOKEN = "[\\w!#$%&'*+.^`|~-]+";
const WORD = `"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN})`;
const PREFERENCE = new RegExp(
  `(?<=^|,)\\s*(${TOKEN})(?:\\s*=\\s*(?:${WORD}))?(?:\\s*;(?:\\s*${TOKEN}(?:\\s*=\\s*(?:${WORD}))?)?)*\\s*(?=,|$)`,
  'g',
);
