import { Types } from 'mongoose';
import { z } from 'zod';
import { runAs, SYSTEM } from './auth/caller.ts';
import { Problem } from './errors.ts';
import { transaction } from './mongo/transaction.ts';
import { modelOf } from './schema/model.ts';
import { type AnyResource, noun } from './schema/resource.ts';
import { create } from './schema/store.ts';

/**
 * Documents of a resource for an empty database, in JSON. Those with an id are used by the examples of the API, so
 * that each example works as it stands.
 */
export type Seed = [AnyResource, Record<string, unknown>[]];

/** Stores sample documents in an empty database: all of them, or none. */
export async function seed(seeds: Seed[], say: (line: string) => void): Promise<void> {
  if (!(await isEmpty(seeds))) return;
  const stored = await runAs(SYSTEM, () =>
    transaction(async () => {
      // Checked again inside the transaction: another process may start at the same moment.
      if (!(await isEmpty(seeds))) return false;
      for (const [resource, documents] of seeds)
        for (const document of documents) await store(resource, document);
      return true;
    }),
  );
  if (stored) say('The database was empty: sample documents have been stored.');
}

async function isEmpty(seeds: Seed[]): Promise<boolean> {
  for (const [resource] of seeds) if (await modelOf(resource).exists({})) return false;
  return true;
}

/** Validated like requests. */
async function store(resource: AnyResource, document: Record<string, unknown>): Promise<void> {
  const { id, createdAt, updatedAt, ...rest } = document;
  // An example contains computed fields, too.
  const json = Object.fromEntries(Object.entries(rest).filter(([field]) => !(field in resource.computed)));
  const optional = Object.fromEntries(Object.keys(resource.defaults).map((field) => [field, true as const]));
  const { data, error } = z
    .strictObject(resource.fields)
    .partial(optional as never)
    .safeParse(json);
  if (error) throw new Error(`A ${noun(resource)} in the seeds is invalid:\n${z.prettifyError(error)}`);
  try {
    await create(resource, data, id === undefined ? undefined : new Types.ObjectId(id as string));
  } catch (error) {
    const faults = error instanceof Problem && error.code === 'validation_failed' && error.members.errors;
    if (!faults) throw error;
    const said = faults.map(({ pointer, message }) => `  ${pointer} ${message}`).join('\n');
    throw new Error(`A ${noun(resource)} in the seeds breaks a rule:\n${said}`, { cause: error });
  }
}
