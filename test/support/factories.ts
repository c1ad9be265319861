import type { HydratedDocument, Model } from 'mongoose';
import { typical } from '../../src/schema/example.ts';
import { modelOf } from '../../src/schema/model.ts';
import type { AnyResource, DocumentOf } from '../../src/schema/resource.ts';
import { User } from '../../src/resources/users/user.ts';

/** Stores a valid document: what a test does not name is the default, or as the resource's example has it. */
export async function stored<R extends AnyResource>(
  resource: R,
  overrides: object = {},
): Promise<HydratedDocument<DocumentOf<R>>> {
  const model: Model<any> = modelOf(resource);
  return model.create({ ...typical(resource), ...overrides });
}

let count = 0;

export const aUser = (overrides: object = {}) =>
  stored(User, {
    name: `User ${++count}`,
    email: `user${count}@example.org`,
    verifiedAt: new Date(),
    ...overrides,
  });
