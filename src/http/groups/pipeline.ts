import type { PipelineStage } from 'mongoose';
import { expressionOf, type Key } from './keys.ts';
import type { Measure } from './measures.ts';

/** How MongoDB makes groups of documents: the stages, and the order of what comes out of them. */

/** A group as MongoDB has it: its keys as k0, k1, …, and its measures by their aliases. */
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

/** The largest first, unless told otherwise; equal groups go by their keys. */
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
