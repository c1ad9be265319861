import { z } from 'zod';
import { lists } from '../query.ts';
import type { Groupable } from './keys.ts';

/** The parameters that only groups have, and the checks between them. */

/** The values of `by`; each must be one of the forms. */
export function byParameter(known: Map<string, Groupable>, description: string) {
  const forms = [...known.values()].map(({ forms }) => forms);
  const examples = forms.flatMap(({ examples }) => examples);
  return z
    .array(
      z
        .string()
        .regex(
          new RegExp(`^(${forms.map(({ pattern }) => pattern).join('|')})$`),
          `must be among ${examples.join(', ')}`,
        ),
      'is required',
    )
    .min(1, 'must have a value')
    .max(3, 'must have at most 3 values')
    .meta({ description: `${description}: ${examples.join(', ')}` })
    .register(lists, { keepsCommas: false });
}

export const sortParameter = (names: string[]) =>
  z
    .array(
      z.string().refine((word) => names.includes(word.replace(/^-/, '')), {
        error: `must be among ${names.join(', ')}, each optionally with a leading - to descend`,
        params: { code: 'invalid_value' },
      }),
    )
    .min(1, 'must have a value')
    .max(4, 'must have at most 4 values')
    .meta({
      default: ['-count'],
      description: 'The order, by measures or by fields in `by`; `-` is descending',
    })
    .register(lists, { keepsCommas: false });

/** `include` and `sort` may only name fields in `by`; each key may appear once. */
export function refuseContradictions(asked: Record<string, unknown>, ctx: z.core.$RefinementCtx): void {
  const fields = ((asked['by'] as string[] | undefined) ?? []).map((name) => name.replace(/\[.*/, ''));
  const refuse = (path: string, message: string) => ctx.addIssue({ code: 'custom', path: [path], message });
  const twice = fields.find((field, i) => fields.indexOf(field) < i);
  if (twice) refuse('by', `names ${twice} twice`);
  const names = ((asked['sort'] as string[] | undefined) ?? []).map((word) => word.replace(/^-/, ''));
  for (const [parameter, given] of [
    ['sort', names.filter((name) => name !== 'count' && !name.includes('('))],
    ['include', asked['include'] ?? []],
  ] as [string, string[]][])
    for (const name of given)
      if (!fields.includes(name)) refuse(parameter, `names ${name}, which is not in by`);
}
