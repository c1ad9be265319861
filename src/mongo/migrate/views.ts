import type { mongo } from 'mongoose';
import { isSame } from '../differences.ts';
import { readLayout, type View } from '../layout.ts';
import { changeView } from './structure.ts';

/**
 * Views can be derived from the definitions at any time, so they are not part of migrations: `up` ends by recreating
 * them.
 */

/** The suffix of the views that show a collection for people. */
export const NAMED = '_named';

/** Creates or updates views, and drops those with the suffix that are no longer wanted. */
export async function renewViews(db: mongo.Db, wanted: Record<string, View>): Promise<void> {
  const layout = await readLayout(db);
  for (const [name, to] of Object.entries(wanted))
    if (!isSame(layout[name]?.view, to)) await apply(db, name, to);
  for (const [name, { view }] of Object.entries(layout))
    if (view && name.endsWith(NAMED) && !wanted[name]) await apply(db, name);
  await letBrowse(db, Object.keys(wanted));
}

/** The role for people who browse the database with other tools. */
const BROWSE = 'browse';
/** The commands that Mongo Express needs for every collection it shows. */
const ACTIONS = ['find', 'collStats', 'indexStats', 'listIndexes'];
/** MongoDB's error code for missing rights. */
const UNAUTHORIZED = 13;

interface Privilege {
  resource: { db: string; collection: string };
  actions: string[];
}

/** Lets the role `browse` read these views and no others, if the role exists and this user may change it. */
async function letBrowse(db: mongo.Db, views: string[]): Promise<void> {
  try {
    const { roles } = await db.command({ rolesInfo: BROWSE, showPrivileges: true });
    const [role] = roles as [{ privileges: Privilege[] }?];
    if (!role) return;
    // An empty name means the database itself: to list its collections.
    const granted = role.privileges.filter(({ resource }) => resource.collection);
    const names = granted.map(({ resource }) => resource.collection);
    const privileges = views
      .filter((collection) => !names.includes(collection))
      .map((collection) => ({ resource: { db: db.databaseName, collection }, actions: ACTIONS }));
    const stale = granted.filter(({ resource }) => !views.includes(resource.collection));
    if (privileges.length > 0) await db.command({ grantPrivilegesToRole: BROWSE, privileges });
    if (stale.length > 0) await db.command({ revokePrivilegesFromRole: BROWSE, privileges: stale });
  } catch (error) {
    if ((error as { code?: unknown }).code !== UNAUTHORIZED) throw error;
  }
}

/** Drops the views of collections that no longer exist. */
export async function dropViewsOfNothing(db: mongo.Db): Promise<void> {
  const layout = await readLayout(db);
  for (const [name, { view }] of Object.entries(layout)) if (view && !layout[view.on]) await apply(db, name);
}

async function apply(db: mongo.Db, name: string, to?: View): Promise<void> {
  const { up } = changeView(name, to ? { to } : {});
  if (up.kind === 'structure') await up.apply(db, async () => {});
}
