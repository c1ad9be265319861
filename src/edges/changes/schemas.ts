import { z } from 'zod';
import { instant, objectId } from '../../schema/fields.ts';
import type { AnyResource } from '../../schema/resource.ts';

/** What OpenAPI says of events. */

const position = z
  .string()
  .describe('The position right behind this change: pass it as `after` to go on from here');

/** A change of one resource's documents. */
const changeOf = ({ name, collection, document, description }: AnyResource) =>
  z
    .strictObject({
      id: position,
      resource: z.literal(collection),
      operation: z
        .enum(['created', 'updated', 'removed'])
        .describe(
          'What it is to this reader: a document that comes into sight is created, one that leaves it removed',
        ),
      documentId: objectId(),
      at: instant().describe('When it was committed'),
      transaction: z
        .int()
        .describe('The same for all that one transaction changed; later ones have greater numbers'),
      document: document
        .partial()
        .required({ id: true })
        .meta({ id: `${name}Changed`, description: `${description}, as the reader sees it` })
        .optional()
        .describe('What it is now; missing where it was removed'),
      changed: z
        .array(z.string())
        .optional()
        .describe('Where it was updated: the fields that have another value'),
    })
    .meta({ id: `${name}Change`, description: `A change of one of the ${collection}` });

/** One answer in JSON. */
export const changesOf = (name: string, resources: AnyResource[]) => {
  const kinds = resources.map(changeOf);
  const [first, ...others] = kinds;
  return z
    .strictObject({
      items: z
        .array(first && others.length === 0 ? first : z.discriminatedUnion('resource', kinds as never))
        .describe('In the order of the commits'),
      position: z.string().describe('Where the feed goes on: pass it as `after`'),
    })
    .meta({ id: name, description: 'Changes, and where the feed goes on' });
};

/** An event as an example, of the document that a resource's documentation shows. */
export const exampleOf = ({ collection, example }: AnyResource) => ({
  id: '2f4xq0zq4g00-3fa2b1-51c09e-9c01d2e3f4a5',
  resource: collection,
  operation: 'created' as const,
  documentId: example.id,
  at: example.createdAt,
  transaction: 3_714_515_404_455_937,
  document: example,
});
