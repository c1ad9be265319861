/**
 * Loaded into Mongo Express before it starts (NODE_OPTIONS), so that it can show views: it requests statistics and indexes
 * of everything it shows, and fails because views have none.
 */
const NOT_ON_A_VIEW = 166;
const NONE = { stats: { count: 0, size: 0, nindexes: 0, indexSizes: {} }, indexes: [] };

const { Collection } = require(require.resolve('mongodb', { paths: [process.cwd()] }));

for (const [method, none] of Object.entries(NONE)) {
  const ask = Collection.prototype[method];
  Collection.prototype[method] = async function (...args) {
    try {
      return await ask.apply(this, args);
    } catch (error) {
      if (error.code !== NOT_ON_A_VIEW) throw error;
      return none;
    }
  };
}
