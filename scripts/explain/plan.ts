/** Summarises MongoDB's explain output of a command in a few lines. */

type Json = Record<string, any>;

/** The part of a command that determines what is read. */
export function questionOf(command: Json): Json | undefined {
  const kind = ['find', 'aggregate', 'count', 'distinct'].find((name) => name in command);
  if (!kind) return undefined;
  const parts = [
    'filter',
    'query',
    'key',
    'sort',
    'projection',
    'skip',
    'limit',
    'pipeline',
    'collation',
    'hint',
  ];
  return {
    [kind]: command[kind],
    ...Object.fromEntries(parts.filter((part) => part in command).map((part) => [part, command[part]])),
    ...(kind === 'aggregate' && { cursor: {} }),
  };
}

/** The indexes and expensive stages of the chosen plan, and how much it examined. */
export function inWords(explained: Json): string[] {
  const reads = objects(explained).flatMap(({ winningPlan }) => (winningPlan ? stagesIn(winningPlan) : []));
  const [stats = {}] = objects(explained).flatMap(({ executionStats }) => executionStats ?? []);
  const keys = count(stats['totalKeysExamined'], 'key');
  const documents = count(stats['totalDocsExamined'], 'document');
  return [
    ...new Set(reads),
    `examined ${keys} and ${documents}, returned ${count(stats['nReturned'], 'document')}, in ${stats['executionTimeMillis'] ?? '?'} ms`,
  ];
}

const count = (n: unknown, what: string): string =>
  `${Number(n ?? 0).toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;

/** An object and all nested ones, except in rejected plans. */
function objects(part: unknown): Json[] {
  if (Array.isArray(part)) return part.flatMap(objects);
  if (part === null || typeof part !== 'object') return [];
  const inner = Object.entries(part).filter(
    ([name]) => name !== 'rejectedPlans' && name !== 'allPlansExecution',
  );
  return [part as Json, ...inner.flatMap(([, one]) => objects(one))];
}

const stagesIn = (plan: Json): string[] =>
  objects(plan).flatMap(({ stage, indexName, direction, indexBounds }) => {
    if (stage === 'IXSCAN' || stage === 'DISTINCT_SCAN')
      return [`index ${indexName}${direction === 'backward' ? ', backwards' : ''}: ${boundsOf(indexBounds)}`];
    return WORDS[stage] ?? [];
  });

const WORDS: Record<string, string> = {
  COLLSCAN: 'NO INDEX: reads the whole collection',
  SORT: 'sorts in memory',
  TEXT_MATCH: 'the text index',
  IDHACK: 'index _id_: one document by its id',
  EXPRESS_IXSCAN: 'index _id_: one document by its id',
  CLUSTERED_IXSCAN: 'the clustered index',
};

/** The ranges of the index, for fields that are restricted at all. */
function boundsOf(bounds: Json = {}): string {
  const narrow = Object.entries<string[]>(bounds).filter(
    ([, ranges]) => !['[MinKey, MaxKey]', '[MaxKey, MinKey]'].includes(ranges.join()),
  );
  const text = narrow.map(([field, ranges]) => {
    const more = ranges.length > 3 ? ` and ${ranges.length - 3} more` : '';
    return `${field} in ${ranges.slice(0, 3).join(', ')}${more}`;
  });
  return text.join('; ') || 'the whole index';
}
