import type { Migration } from '../mongo/migrate/migration.ts';
import { initial } from './0001-initial.ts';
import { accounts } from './0002-accounts.ts';
import { views } from './0003-views.ts';
import { guesses } from './0004-guesses.ts';
import { siblings } from './0005-siblings.ts';
import { formats } from './0006-formats.ts';
import { securityLog } from './0007-security-log.ts';
import { images } from './0008-images.ts';
import { readings } from './0009-readings.ts';
import { accountStates } from './0010-account-states.ts';
import { patterns } from './0011-patterns.ts';
import { readingsImages } from './0012-readings-images.ts';
import { alphabetical } from './0013-alphabetical.ts';
import { alphabeticalAfter } from './0014-alphabetical-after.ts';

/** All migrations, in the order in which they are applied. One that has been applied anywhere never changes. */
export const migrations: Migration[] = [
  initial,
  accounts,
  views,
  guesses,
  siblings,
  formats,
  securityLog,
  images,
  readings,
  accountStates,
  patterns,
  readingsImages,
  alphabetical,
  alphabeticalAfter,
];
