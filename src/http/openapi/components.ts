import { capital } from '../../schema/capital.ts';

/**
 * Parts that stand in several places of the document, written once, as components. Typed clients show the names of
 * components to their users, so a component is called what its places have in common.
 */

export type Json = Record<string, any>;

/** Something that may become a component. */
export interface Part {
  /** Where it stands and what it is, as one name: `BooksSort`. */
  place: string;
  /** Goes in front of that name where it would be taken otherwise: `group`. */
  verb?: string;
  content: Json;
  /** Puts something else in its place. */
  put: (part: Json) => void;
}

/** Makes one object of equal ones. */
export function unified(): (part: Json) => Json {
  const known = new Map<string, Json>();
  return (part) => {
    const key = JSON.stringify(part);
    known.set(key, known.get(key) ?? part);
    return known.get(key) as Json;
  };
}

/** Has equal parts refer to one component where that is shorter, and returns these components. */
export function once(kind: string, parts: Part[], taken: Json = {}): Json {
  const groups = new Map<string, Part[]>();
  for (const part of parts) {
    const key = JSON.stringify(part.content);
    groups.set(key, [...(groups.get(key) ?? []), part]);
  }
  const made: Json = {};
  const shared = [...groups].filter(([{ length }, { length: n }]) => length * (n - 1) > REFERENCE * n);
  // The clearest names for those that are met most often.
  for (const [, equal] of shared.toSorted(([, one], [, other]) => other.length - one.length)) {
    const name = nameOf(equal, (name) => name in made || name in taken);
    made[name] = equal[0]?.content;
    for (const { put } of equal) put({ $ref: `#/components/${kind}/${name}` });
  }
  return made;
}

/** About as long as a reference. */
const REFERENCE = 45;

/** Types of TypeScript and the browser that a client's type should not hide. */
const KNOWN = new Set(
  'Array Blob Boolean Comment Date Document Error Event File Function Headers Map Node Number Object Omit Partial Pick Promise Record Request Required Response Set String Symbol Text URL'.split(
    ' ',
  ),
);

function nameOf(equal: Part[], isTaken: (name: string) => boolean): string {
  const places = equal.map(({ place }) => wordsOf(place));
  const full = equal.map(({ verb = '', place }) => wordsOf(verb + place));
  const shortest = full.reduce((best, words) =>
    words.join('').length < best.join('').length ? words : best,
  );
  const names = [inCommon(places), inCommon(full), shortest].map((words) => words.join(''));
  const isFree = (name: string) => name !== '' && !isTaken(name) && !KNOWN.has(name);
  const free = names.find(isFree);
  if (free) return free;
  for (let i = 2; ; i++) if (isFree(`${shortest.join('')}${i}`)) return `${shortest.join('')}${i}`;
}

/** The words that most places have. */
function inCommon(places: string[][]): string[] {
  const isCommon = (word: string) =>
    places.filter((words) => words.includes(word)).length > places.length / 2;
  return places
    .map((words) => words.filter((word, i) => isCommon(word) && words.lastIndexOf(word) === i))
    .reduce((best, words) => (words.length > best.length ? words : best));
}

/** `author[in]` is Author and In. */
const wordsOf = (place: string): string[] =>
  (place.match(/[A-Z]+(?![a-z])|[A-Za-z][a-z]*|\d+/g) ?? []).map((word) => capital(word));
