import type { Migration } from '../../../src/mongo/migrate/migration.ts';
import { initial } from './0001-initial.ts';
import { allowName } from './0002-allow-name.ts';
import { splitAuthor } from './0003-split-author.ts';
import { authorOptional } from './0004-author-optional.ts';
import { dropAuthor } from './0005-drop-author.ts';

export const migrations: Migration[] = [initial, allowName, splitAuthor, authorOptional, dropAuthor];
