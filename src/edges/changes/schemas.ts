import { z } from 'zod';
import { instant, objectId } from '../../schema/fields.ts';
import type { AnyResource } from '../../schema/resource.ts';

/** OpenAPI schemas of events. */

const position = (description: string) => z.string().meta({ description, examples: [POSITION] });

/** A change of one resource's documents. */
const changeOf = ({ name, collection, document }: AnyResource) =>
  z
    .strictObject({
      id: position('The position after this change: pass it as `after` to continue from here'),
      resource: z.literal(collection),
      operation: z
        .enum(['created', 'updated', 'removed'])
        .describe(
          'As this reader sees it: a document that becomes visible is created, one that stops being visible is removed',
        ),
      documentId: objectId(),
      at: instant().describe('When it was committed'),
      transaction: z.int().describe('Equal for all changes of a transaction; greater for later ones'),
      // The present document, with the requested fields; missing if it was removed.
      document: document.optional(),
      changed: z.array(z.string()).optional().describe('For an update: the fields whose values changed'),
    })
    .meta({
      id: `${name}Change`,
      description: `A change of one of the ${collection}; \`document\` is the present version, missing if removed`,
    });

/** One answer in JSON. */
export const changesOf = (name: string, resources: AnyResource[]) => {
  const kinds = resources.map(changeOf);
  const [first, ...others] = kinds;
  return z
    .strictObject({
      items: z
        .array(first && others.length === 0 ? first : z.discriminatedUnion('resource', kinds as never))
        .describe('In the order of the commits'),
      position: position('Where the feed continues: pass it as `after`'),
    })
    .meta({ id: name, description: 'Changes, and where the feed continues' });
};

const POSITION = '2f4xq0zq4g00-3fa2b1-51c09e-9c01d2e3f4a5';

/** The stream of server-sent events. */
export const EVENTS = z.string().meta({
  id: 'EventStream',
  description:
    'Server-sent events: `created`, `updated` and `removed` with an item of the JSON form as data, `reset` if changes are missing, `end` if the caller may not continue',
  examples: [`id: ${POSITION}\nevent: created\ndata: {"id":"${POSITION}","operation":"created", …}\n\n`],
});
