import base from './jest.config.mjs';

/** The tests that need a sharded cluster: four programs of MongoDB beside that of the tests. */
export default {
  ...base,
  roots: ['<rootDir>/dist/sample/test/sharded'],
  testPathIgnorePatterns: [],
  globalSetup: '<rootDir>/dist/test/sharded/global-setup.js',
  globalTeardown: '<rootDir>/dist/test/sharded/global-teardown.js',
  maxWorkers: 1,
};
