/** The resource folders, one line each. See api.ts for what a folder may export. */
export * as audit from './audit/index.ts';
export * as batch from './batch/index.ts';
export * as books from './books/index.ts';
export * as keys from './keys/index.ts';
export * as posts from './posts/index.ts';
export * as readings from './readings/index.ts';
export * as sessions from './sessions/index.ts';
export * as tags from './tags/index.ts';
export * as users from './users/index.ts';
