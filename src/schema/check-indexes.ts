import { type Index, indexName } from '../mongo/layout.ts';
import { faultsOfWhere } from './check-where.ts';
import { indexText } from './indexes.ts';
import { isContainer, noField, type Path, type Paths } from './paths.ts';

/**
 * Checks the indexes of a definition. MongoDB would report most of these faults too late: when a migration builds the
 * index, or when a document is stored.
 */
export function faultsOfIndexes(
  indexes: readonly Index[],
  search: readonly string[],
  paths: Paths,
): string[] {
  const names = indexes.map((index) => indexName(index));
  const count = indexes.length + Number(search.length > 0);
  const texts = indexes.filter(isOfText).length + Number(search.length > 0);
  return [
    ...indexes.flatMap((index, i) => {
      const faults = [...faultsOfKey(index, paths), ...faultsOfOptions(index, paths)];
      const isRepeated = names.indexOf(indexName(index)) < i;
      return [...faults, ...(isRepeated ? ['is declared twice'] : [])].map(
        (fault) => `The index ${indexText(index.key)} ${fault}.`,
      );
    }),
    ...search.flatMap((path) => faultsOfText(path, paths).map((fault) => `search ${fault}.`)),
    ...(texts > 1
      ? ['There are several text indexes (search makes one), and MongoDB allows one per collection.']
      : []),
    ...(count > MAX_INDEXES ? [`There are ${count} indexes, and MongoDB allows ${MAX_INDEXES}.`] : []),
  ];
}

/** In addition to the index of `_id`. */
const MAX_INDEXES = 63;
const MAX_PATHS = 32;

const isOfText = ({ key }: Index): boolean => Object.values(key).includes('text');

function faultsOfKey(index: Index, paths: Paths): string[] {
  const entries = Object.entries(index.key);
  const names = entries.map(([path]) => path);
  const ordered = entries.flatMap(([path, direction]) =>
    direction === 'text' ? [] : (paths.get(path) ?? []),
  );
  const isText = entries.map(([, direction]) => direction === 'text');
  return [
    ...entries.flatMap(([path, direction]) => {
      if (direction === 'text') return faultsOfText(path, paths);
      if (direction !== 1 && direction !== -1)
        return [`has ${JSON.stringify(direction)} for ${path}: write 1, -1 or 'text'`];
      return faultsOfPath(path, paths);
    }),
    ...(names.length === 0 ? ['has no path'] : []),
    ...(names.length > MAX_PATHS ? [`has more than ${MAX_PATHS} paths`] : []),
    ...(names.join() === '_id' ? ['is redundant: every collection has it'] : []),
    ...(isOfText(index) ? listsBesideText(ordered) : parallelLists(ordered)),
    ...(isText.slice(isText.indexOf(true), isText.lastIndexOf(true) + 1).every(Boolean)
      ? []
      : ["has another path between its texts: put the 'text' paths next to each other"]),
  ];
}

function faultsOfPath(path: string, paths: Paths): string[] {
  if (path === '_id') return [];
  if (path === 'id') return ['names "id", which MongoDB stores as _id'];
  const found = paths.get(path);
  if (!found) return [noField('names', path, paths)];
  if (!isContainer(found)) return [];
  const within = [...paths.keys()].filter((other) => other.startsWith(`${path}.`));
  return [
    `names "${path}", which is not a single value${within.length > 0 ? `: name a path inside it, such as ${within[0]}` : ' and has no paths'}`,
  ];
}

function faultsOfText(path: string, paths: Paths): string[] {
  const found = paths.get(path);
  if (!found) return [noField('names', path, paths)];
  return found.kind === 'text' || found.kind === 'enum' ? [] : [`searches "${path}", which is not a text`];
}

/** MongoDB stores no document in which one key contains two lists; a list inside the other one does not count. */
function parallelLists(ordered: Path[]): string[] {
  const lists = [...new Set(ordered.flatMap((path) => path.lists))];
  const pair = lists.flatMap((one, i) =>
    lists.slice(i + 1).flatMap((other) => {
      const [outer, inner] = one.length < other.length ? [one, other] : [other, one];
      return inner.startsWith(`${outer}.`) ? [] : [`${one} and ${other}`];
    }),
  );
  return pair
    .slice(0, 1)
    .map((two) => `has two lists, ${two}, which MongoDB cannot index together: make two indexes`);
}

const listsBesideText = (ordered: Path[]): string[] =>
  ordered
    .filter(({ many }) => many)
    .map(({ path }) => `has the list ${path} beside texts, which MongoDB refuses`);

const PARTS = ['key', 'unique', 'where', 'expireAfterSeconds'];

function faultsOfOptions(index: Index, paths: Paths): string[] {
  const { key, unique, where, expireAfterSeconds: seconds } = index;
  const [path = '', ...others] = Object.keys(key);
  const isWhole = Number.isInteger(seconds) && Number(seconds) >= 0 && Number(seconds) < 2 ** 31;
  return [
    ...Object.keys(index)
      .filter((part) => !PARTS.includes(part))
      .map((part) => `has no part "${part}"; there are ${PARTS.join(', ')}`),
    ...(unique === undefined || unique === true ? [] : ['has a "unique" that is not true: leave it out']),
    ...(where ? faultsOfWhere(where, paths) : []),
    ...(seconds === undefined || isWhole ? [] : ['has an expireAfterSeconds that is not a whole number']),
    ...(seconds === undefined || (others.length === 0 && paths.get(path)?.kind === 'instant')
      ? []
      : ['has expireAfterSeconds, which needs a key with a single instant()']),
  ];
}
