import type * as bson from 'bson';
import type { z } from 'zod';
import type { Direction, Index } from '../mongo/layout.ts';
import type { Inside, PathOf } from './paths.ts';

/** An index of a resource with these fields. */
export interface IndexOf<F> extends Omit<Index, 'key' | 'where'> {
  key: { readonly [P in IndexPath<F>]?: Direction };
  where?: Where<F>;
}

type Stamps = { _id: bson.ObjectId; createdAt: Date; updatedAt: Date };
type IndexPath<F> = PathOf<F> | keyof Stamps;

/** The filters that MongoDB allows for an index. */
export type Where<F> = { readonly [P in PathOf<F>]?: Condition<ValueAt<F, P>> } & {
  readonly [P in keyof Stamps]?: Condition<Stamps[P]>;
} & { readonly $and?: readonly Where<F>[]; readonly $or?: readonly Where<F>[] };

type Condition<V> =
  | Operand<V>
  | {
      readonly $eq?: Operand<V>;
      readonly $in?: readonly Operand<V>[];
      readonly $gt?: Operand<V>;
      readonly $gte?: Operand<V>;
      readonly $lt?: Operand<V>;
      readonly $lte?: Operand<V>;
      readonly $exists?: true;
      readonly $type?: string;
    };

/** Decimals are compared with whole numbers; ids, objects and lists only by null, $exists and $type. */
type Operand<V> = V extends bson.Decimal128
  ? number
  : V extends readonly (infer E)[]
    ? Operand<E> | []
    : V extends string | number | boolean | Date | null
      ? V
      : never;

/** The value of a field, by its path. */
type ValueAt<F, P extends string> = F extends unknown
  ? P extends `${infer Name}.${infer Rest}`
    ? Name extends keyof F
      ? ValueAt<Inside<F[Name]>, Rest>
      : never
    : P extends keyof F
      ? F[P] extends z.ZodType
        ? z.output<F[P]>
        : never
      : never
  : never;

/** Indexes that contain every document, in order: filters, sorts and references can only rely on these. */
export const complete = (indexes: readonly Index[]): Index[] =>
  indexes.filter(({ key, where }) => !where && !Object.values(key).includes('text'));

/** Whether an index leads to the documents of a query by this path. */
export const leadsIndex = ({ indexes }: { indexes: readonly Index[] }, path: string): boolean =>
  complete(indexes).some(({ key }) => Object.keys(key)[0] === path);

/** An index as written in a definition. */
export const indexText = (key: Index['key']): string =>
  `{ key: { ${Object.entries(key)
    .map(([path, direction]) => `${keyText(path)}: ${direction === 'text' ? "'text'" : direction}`)
    .join(', ')} } }`;

const keyText = (path: string): string => (path.includes('.') ? `'${path}'` : path);
