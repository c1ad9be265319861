import type { mongo } from 'mongoose';
import { isSame } from '../differences.ts';
import { readLayout, type View } from '../layout.ts';
import { changeView } from './structure.ts';

/**
 * Views can be derived from the definitions at any time, so they are no part of migrations: applying migrations ends
 * with making them anew.
 */

/** What the names of the views that show a collection for people end in. */
export const NAMED = '_named';

/** Makes views what they should be, and drops those that show a collection for people and are no longer wanted. */
export async function renewViews(db: mongo.Db, wanted: Record<string, View>): Promise<void> {
  const layout = await readLayout(db);
  for (const [name, to] of Object.entries(wanted))
    if (!isSame(layout[name]?.view, to)) await apply(db, name, to);
  for (const [name, { view }] of Object.entries(layout))
    if (view && name.endsWith(NAMED) && !wanted[name]) await apply(db, name);
}

/** Drops the views of collections that do not exist any more. */
export async function dropViewsOfNothing(db: mongo.Db): Promise<void> {
  const layout = await readLayout(db);
  for (const [name, { view }] of Object.entries(layout)) if (view && !layout[view.on]) await apply(db, name);
}

async function apply(db: mongo.Db, name: string, to?: View): Promise<void> {
  const { up } = changeView(name, to ? { to } : {});
  if (up.kind === 'structure') await up.apply(db, async () => {});
}
