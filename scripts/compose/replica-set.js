/* global Mongo, quit, sleep */
/**
 * For mongosh, on the machine of the first member: initiates the replica set of three members, and creates the users with
 * their rights. Running it again sets the passwords from the environment.
 */
const { MONGO_ROOT_PASSWORD, MONGO_API_PASSWORD, MONGO_MIGRATE_PASSWORD, MONGO_BROWSE_PASSWORD } =
  process.env;
const MEMBERS = ['mongo1', 'mongo2', 'mongo3'];
const DATABASE = 'shelfmark';
/** Retries while the members start; after two minutes the last error is thrown. */
function untilDone(work) {
  for (let tries = 0; ; tries++) {
    try {
      // Assigned before it is returned, so that mongosh awaits it here and the error is caught.
      const result = work();
      return result;
    } catch (error) {
      if (tries === 120) throw error;
      sleep(1000);
    }
  }
}

const local = untilDone(() => new Mongo('mongodb://127.0.0.1/?directConnection=true').getDB('admin'));

/** True if the set and its users already exist. */
function isSetUp() {
  try {
    return local.auth('root', MONGO_ROOT_PASSWORD).ok === 1;
  } catch {
    return false;
  }
}

if (!isSetUp()) {
  // Set up by hand with another password, or only partly: existing parts are kept.
  const config = {
    _id: 'rs0',
    // The first member becomes primary, because the first user can only be created from its machine.
    members: MEMBERS.map((host, _id) => ({ _id, host: `${host}:27017`, priority: _id === 0 ? 2 : 1 })),
    // How soon another member takes over if the primary is lost.
    settings: { electionTimeoutMillis: 2000, heartbeatTimeoutSecs: 2, catchUpTimeoutMillis: 2000 },
  };
  untilDone(() => {
    const { codeName, errmsg } = local.runCommand({ replSetInitiate: config });
    if (errmsg && codeName !== 'AlreadyInitialized') throw new Error(errmsg);
  });
  untilDone(() => {
    if (!local.hello().isWritablePrimary) throw new Error('The first member is not the primary.');
  });
  local.createUser({ user: 'root', pwd: MONGO_ROOT_PASSWORD, roles: ['root'] });
}

const hosts = MEMBERS.map((host) => `${host}:27017`).join();
const uri = `mongodb://root:${encodeURIComponent(MONGO_ROOT_PASSWORD)}@${hosts}/admin?replicaSet=rs0`;
const db = untilDone(() => new Mongo(uri)).getDB(DATABASE);

// Pre- and post-images are kept for a week: clients of the feed can resume within that time.
const preAndPostImages = { expireAfterSeconds: 7 * 24 * 60 * 60 };
db.adminCommand({ setClusterParameter: { changeStreamOptions: { preAndPostImages } } });

function grant(user, pwd, roles) {
  if (db.getUser(user)) db.updateUser(user, { pwd, roles });
  else db.createUser({ user, pwd, roles });
}

/** Only once: rights that are added later stay. */
function define(role, privileges) {
  if (!db.getRole(role)) db.createRole({ role, privileges, roles: [] });
}

const all = { db: DATABASE, collection: '' };
// `migrate up` creates the views, and grants the right to read them.
define('browse', [{ resource: all, actions: ['listCollections', 'dbStats'] }]);
define('letBrowse', [{ resource: all, actions: ['viewRole', 'grantRole', 'revokeRole'] }]);

// The API reads, writes and follows documents; collections, rules and indexes belong to the migrations.
const serving = {
  privileges: [
    {
      resource: all,
      actions: ['find', 'insert', 'update', 'remove', 'changeStream', 'listCollections', 'listIndexes'],
    },
  ],
  roles: [],
};
if (db.getRole('serve')) db.updateRole('serve', serving);
else db.createRole({ role: 'serve', ...serving });

grant('shelfmark', MONGO_API_PASSWORD, ['serve']);
grant('migrate', MONGO_MIGRATE_PASSWORD, ['readWrite', 'dbAdmin', 'letBrowse']);
grant('browse', MONGO_BROWSE_PASSWORD, ['browse']);
print('The replica set and its users are there.');
quit(0);
