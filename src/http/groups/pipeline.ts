import type { PipelineStage } from 'mongoose';
import { expressionOf, type Key } from './keys.ts';
import type { Measure } from './measures.ts';

/** The aggregation that makes groups of documents: its stages and their order. */

/** A group as MongoDB returns it: its keys as k0, k1, …, and its measures by their aliases. */
export type Row = { _id: Record<string, unknown> } & Record<string, any>;

export function pipelineOf(keys: Key[], measures: Measure[]): PipelineStage[] {
  const made = keys.map((key, i) => expressionOf(key, `_k${i}`));
  const finishes = measures.flatMap(({ alias, finish }) => (finish ? [[alias, finish] as const] : []));
  return [
    ...made.flatMap(({ stages }) => stages as PipelineStage[]),
    {
      $group: {
        _id: Object.fromEntries(made.map(({ value }, i) => [`k${i}`, value])),
        ...Object.fromEntries(measures.map(({ alias, accumulator }) => [alias, accumulator])),
      },
    },
    ...(finishes.length > 0 ? [{ $set: Object.fromEntries(finishes) }] : []),
  ];
}

export interface Order {
  alias: string;
  field: string;
  direction: 1 | -1;
}

/** Largest first by default; ties are sorted by their keys. */
export function orderOf(asked: string[] = ['-count'], keys: Key[], measures: Map<string, Measure>): Order[] {
  const byKey = keys.map(({ field }, i): Order => ({ alias: `_id.k${i}`, field, direction: 1 }));
  const chosen = asked.map((word): Order => {
    const direction = word.startsWith('-') ? -1 : 1;
    const name = word.replace(/^-/, '');
    const { alias, field } = (measures.get(name) ?? byKey.find((key) => key.field === name)) as Order;
    return { alias, field, direction };
  });
  return [...chosen, ...byKey.filter(({ alias }) => !chosen.some((other) => other.alias === alias))];
}
