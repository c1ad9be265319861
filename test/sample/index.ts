/**
 * The resources that the tests of the kernel are about: books, posts and tags as Shelfmark ships them, beside those that
 * every program has. The tests run on a copy of the compiled program that has these in place of src/resources/index.ts
 * (see build.mjs), so that a project can add, change and remove resources of its own.
 */
export * as audit from '../../src/resources/audit/index.ts';
export * as batch from './batch/index.ts';
export * as books from './books/index.ts';
export * as keys from '../../src/resources/keys/index.ts';
export * as posts from './posts/index.ts';
export * as sessions from '../../src/resources/sessions/index.ts';
export * as tags from './tags/index.ts';
export * as users from '../../src/resources/users/index.ts';
