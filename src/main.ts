import cluster from 'node:cluster';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type Koa from 'koa';
import type { Logger } from 'pino';
import { createApp } from './app.ts';
import { adminOf, openAdminOfWorkers } from './admin.ts';
import { addressOf, type Config, isOwnHost, isProduction, loadConfig } from './config.ts';
import { usePlaces } from './http/entry.ts';
import { useSeats } from './http/seats.ts';
import { loadTracing } from './edges/traces/load.ts';
import { drain, httpServer, TIMES } from './http/server.ts';
import { createLogger } from './log.ts';
import { DEMO_PASSWORD } from './auth/passwords.ts';
import { mailsSent, useMailer } from './auth/mail.ts';
import { smtpMailer } from './auth/smtp.ts';
import { localMails } from './http/mails-page.ts';
import { useKeys } from './auth/tokens.ts';
import { migrations } from './migrations/index.ts';
import { database as db, openDatabase } from './mongo/connect.ts';
import { differences } from './mongo/differences.ts';
import { readLayout } from './mongo/layout.ts';
import { readHistory } from './mongo/migrate/journal.ts';
import { watchReadiness } from './mongo/migrate/ready.ts';
import { up } from './mongo/migrate/run.ts';
import { useQueryTime } from './mongo/times.ts';
import { collections, resources, routes, seeds } from './resources/api.ts';
import { type DemoAccount, openDemoAccounts, prepareAccounts } from './resources/users/first.ts';
import { databaseOf } from './schema/layout.ts';
import { viewsOf } from './schema/views.ts';
import { seed } from './seed.ts';
import { signingKeys } from './signing-keys.ts';
import { stopSignal } from './stop-signal.ts';
import { replaced, runWorkers, speaks } from './workers.ts';

const say = (line: string): void => {
  if (speaks()) console.log(line);
};

const STOPPING = 'Stopping: requests under way may finish.';

async function main(): Promise<void> {
  const config = loadConfig();
  const logger = await createLogger(config.LOG_LEVEL);
  const stop = stopSignal();
  if (cluster.isPrimary && config.WORKERS > 1) return supervise(config, logger, stop);
  const stopped = once(stop, 'abort');
  const replacement = replaced().then(() => true);
  useLimits(config);
  useKeys(await signingKeys(config), addressOf(config), {
    issuer: config.TOKEN_ISSUER,
    audience: config.TOKEN_AUDIENCE,
  });

  const admin = await adminOf(config);
  const tracing = config.TRACES ? await loadTracing() : undefined;
  const database = await openDatabase(config, say, { monitorCommands: config.TRACES });
  try {
    if (database.embedded && cluster.isPrimary) await prepareEmbedded();
    const readiness = await watchReadiness(db(), migrations, {
      say,
      prepare: () => prepareAccounts(config, say),
    });
    let server: Server | undefined;
    let isReplaced = false;
    try {
      const mails = database.embedded && !config.SMTP_URL ? localMails(say) : undefined;
      useMailer(mails?.mailer ?? (await configuredMailer(config)));
      const accounts = database.embedded ? await openDemoAccounts() : [];
      const demo = accounts.find(({ role }) => role === 'admin');
      const app = createApp({
        resources,
        routes,
        logger,
        corsOrigins: config.CORS_ORIGINS,
        rateLimit: config.RATE_LIMIT,
        trustProxy: config.TRUST_PROXY,
        requireReady: readiness.require,
        demo: demo && { username: demo.email, password: DEMO_PASSWORD },
        metrics: admin.metrics,
        tracing,
        isDevelopment: !isProduction(config),
        isOwnHost: database.embedded ? isOwnHost(config) : undefined,
        securityContact: config.SECURITY_CONTACT,
        mountOwn: mails?.mount,
      });
      server = await listen(config, app, logger);
      const { port } = server.address() as AddressInfo;
      const url = `http://${config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST}:${port}`;
      say(`Shelfmark answers at ${url}\nTry it at           ${url}/docs`);
      await admin.open(readiness.require, logger, say);
      if (mails) say(`Mails are shown at  ${url}/mails`);
      if (accounts.length > 0) tellDemoAccounts(accounts);
      isReplaced = await Promise.race([stopped.then(() => false), replacement, readiness.failure]);
      if (cluster.isPrimary) say(STOPPING);
    } finally {
      readiness.stop();
      // A development machine has no load balancer to wait for.
      const delay = database.embedded && !isReplaced ? 0 : config.DRAIN_DELAY * 1_000;
      if (server) await drain(server, { delay, patience: config.DRAIN_TIME * 1_000, isReplaced });
      await mailsSent(3_000);
      admin.close();
    }
  } finally {
    await database.close();
  }
}

/** The shared parts of all processes of one start: the embedded database, and the port for operators. */
async function supervise(config: Config, logger: Logger, stop: AbortSignal): Promise<void> {
  stop.addEventListener('abort', () => say(STOPPING));
  const database = config.MONGODB_URI ? undefined : await openDatabase(config, say);
  try {
    if (database) await prepareEmbedded();
    const closeAdmin = await openAdminOfWorkers(config, logger, say);
    process.exitCode = await runWorkers(config.WORKERS, stop, logger);
    closeAdmin();
  } finally {
    await database?.close();
  }
}

/** Times and limits from the environment. */
function useLimits({ QUERY_TIME, POOL_SIZE, MAX_FEEDS, MAX_EXPORTS }: Config): void {
  useQueryTime(QUERY_TIME * 1_000);
  usePlaces(POOL_SIZE);
  useSeats({ feed: MAX_FEEDS, export: MAX_EXPORTS });
}

const configuredMailer = async ({ SMTP_URL, MAIL_FROM }: Config) =>
  SMTP_URL && MAIL_FROM ? smtpMailer(SMTP_URL, MAIL_FROM) : undefined;

async function prepareEmbedded(): Promise<void> {
  if (!(await migrate())) return;
  if (differences(databaseOf(collections), await readLayout(db())).length > 0)
    say('The database differs from the definitions: npm run migrate -- status');
  await seed(seeds, say);
}

/**
 * The embedded database migrates itself. `npm run dev` restarts on every change of a file, so a migration may still be
 * edited: there it must be applied explicitly. Returns whether all migrations are applied.
 */
async function migrate(): Promise<boolean> {
  const { entries, pending } = await readHistory(db(), migrations);
  if (process.argv.includes('--dev') && entries.size > 0 && pending.length > 0) {
    say(
      `Pending, and not applied automatically under npm run dev, because it may still change: ${pending.map(({ id }) => id).join(', ')}. ` +
        'To apply: npm run migrate -- up --all',
    );
    return false;
  }
  await up(db(), migrations, { say, views: viewsOf(collections) });
  return true;
}

function tellDemoAccounts(accounts: DemoAccount[]): void {
  say(`This is a development setup with well-known logins, all with the password ${DEMO_PASSWORD}:`);
  for (const { email, role } of accounts) say(`  ${email} (${role})`);
}

const listen = (config: Config, app: Koa, logger: Logger): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = httpServer(app, logger, { ...TIMES, answerTime: config.ANSWER_TIME * 1_000 });
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(
              `Port ${config.PORT} is in use: set PORT to another one, or stop the program that uses it.`,
            )
          : new Error(`Cannot listen at ${config.HOST}:${config.PORT} (HOST, PORT): ${error.message}`),
      ),
    );
    server.listen(config.PORT, config.HOST, () => resolve(server));
  });

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
// The channel to the primary would keep a worker alive.
if (cluster.isWorker) process.exit();
