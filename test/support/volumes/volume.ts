import { z } from 'zod';
import { text } from '../../../src/schema/fields.ts';
import { connect } from '../../../src/schema/references.ts';
import { resource } from '../../../src/schema/resource.ts';

/** Three versions of one definition; the migrations beside it lead from the first to the last. */

export interface Name {
  given: string;
  family: string;
}

/** The last word is the family name. */
export const nameOf = (author: string): Name => {
  const words = author.split(' ');
  return { given: words.slice(0, -1).join(' '), family: words.at(-1) ?? '' };
};

const name = z.strictObject({ given: text(0, 200), family: text(1, 200) });
const common = {
  collection: 'volumes',
  description: 'A volume',
  indexes: [{ key: { title: 1, _id: 1 } }] as const,
};
const example = { id: '65f000000000000000000e01', title: 'Solaris' };
const [author, names] = [{ author: 'Stanisław Lem' }, { name: { given: 'Stanisław', family: 'Lem' } }];

export const VolumeV1 = resource('VolumeV1', {
  ...common,
  fields: { title: text(1, 300), author: text(1, 400) },
  example: { ...example, ...author },
});
export const VolumeV2 = resource('VolumeV2', {
  ...common,
  fields: { title: text(1, 300), author: text(1, 400), name: name.nullable() },
  example: { ...example, ...author, ...names },
});
export const VolumeV3 = resource('VolumeV3', {
  ...common,
  fields: { title: text(1, 300), name },
  example: { ...example, ...names },
});
for (const version of [VolumeV1, VolumeV2, VolumeV3]) connect([version as never]);
