import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { hostsOf } from './mongo/hosts.ts';
import { readSecretFiles } from './secret-files.ts';
import { readKeys, type SigningKey } from './auth/tokens.ts';
import { email } from './schema/formats.ts';

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/;

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,10}$/, `must be a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((number) => number >= least && number <= most, `must be from ${least} to ${most}`);

const MOST_WORKERS = 64;

/** Whether a browser may send it in the Origin header: another spelling would never match. */
const isOrigin = (text: string): boolean =>
  /^https?:\/\/[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;

const environment = z.object({
  NODE_ENV: z.string().toLowerCase().optional(),
  PORT: whole(0, 65_535).default(3000),
  HOST: z
    .string()
    .transform((host) => host.replace(/^\[(.*)\]$/, '$1'))
    .default('127.0.0.1'),
  PUBLIC_URL: z
    .url({ protocol: /^https?$/, error: 'must be an address like https://api.example.org' })
    .refine(
      (url) => url === new URL(url).origin,
      'must be an origin like https://api.example.org, without a path',
    )
    .optional(),
  MONGODB_URI: z
    .string()
    .regex(/^mongodb(\+srv)?:\/\/[^/]+/, {
      error: 'must start with mongodb:// or mongodb+srv:// and name a host',
      abort: true,
    })
    // Without a name the driver uses "test", where nobody looks for the data.
    .regex(/^[^:]+:\/\/(.*@)?[^/@]+\/[^/?]+/, 'must name a database: mongodb://host/shelfmark')
    .optional(),
  DATA_DIR: z.string().default('.data'),
  MONGOD_BINARY: z.string().optional(),
  CORS_ORIGINS: z
    .string()
    .default('')
    .transform((list) =>
      list
        .split(',')
        .map((origin) => origin.trim())
        .filter(Boolean),
    )
    .refine(
      (origins) => origins.every((origin) => origin === '*' || isOrigin(origin)),
      'must be * or web origins as browsers send them, separated by commas: https://example.org, in lower case, without a wildcard, path, user or default port',
    ),
  TOKEN_KEYS: z
    .string()
    .transform((pems, ctx): SigningKey[] => {
      try {
        return readKeys(pems);
      } catch (error) {
        ctx.addIssue((error as Error).message);
        return z.NEVER;
      }
    })
    .optional(),
  /** `iss` and `aud` of access tokens, if other services expect certain values. */
  TOKEN_ISSUER: z
    .url({ protocol: /^https?$/, error: 'must be an address like https://login.example.org' })
    .optional(),
  TOKEN_AUDIENCE: z.string().max(200).optional(),
  ADMIN_EMAIL: email().optional(),
  /** Checked when the first admin is made: the dictionaries for it take much memory and part of a start. */
  ADMIN_PASSWORD: z.string().optional(),
  /** The server for mails about accounts. */
  SMTP_URL: z
    .string()
    .regex(/^smtps?:\/\/[^/\s]+$/, 'must be like smtp://user:password@mail.example.org:587')
    .optional(),
  MAIL_FROM: z
    .string()
    .regex(/^[^\r\n]*[^\s<>@]+@[^\s<>@]+>?$/, 'must be an address like Shelfmark <no-reply@example.org>')
    .optional(),
  /** The contact for reports of vulnerabilities, in /.well-known/security.txt. */
  SECURITY_CONTACT: z
    .string()
    .regex(
      /^(mailto:[^\s@]+@[^\s@]+|https:\/\/\S+)$/,
      'must be like mailto:security@example.org or https://…',
    )
    .optional(),
  /** Requests that a client may send per minute. */
  RATE_LIMIT: whole(1, 1_000_000_000).default(1_200),
  /** The number of trusted proxies in front. */
  TRUST_PROXY: whole(0, 10).default(0),
  /** The port for operators and Prometheus; none by default. */
  ADMIN_PORT: whole(0, 65_535).optional(),
  ADMIN_HOST: z.string().default('127.0.0.1'),
  /** Whether requests are reported to OpenTelemetry. */
  TRACES: z
    .enum(['true', 'false'], 'must be true or false')
    .default('false')
    .transform((text) => text === 'true'),
  /** Processes that share the port; `auto` means one per core. */
  WORKERS: z
    .union(
      [
        z.literal('auto').transform(() => Math.min(availableParallelism(), MOST_WORKERS)),
        whole(1, MOST_WORKERS),
      ],
      {
        error: `must be auto or a whole number from 1 to ${MOST_WORKERS}`,
      },
    )
    .default(1),
  /** The most connections to MongoDB. */
  POOL_SIZE: whole(5, 1_000).default(50),
  /** Time limits in seconds: for an answer, and for one query in MongoDB. */
  ANSWER_TIME: whole(2, 600).default(9),
  QUERY_TIME: whole(1, 300).default(2),
  /** The most open feeds of changes and exports. */
  MAX_FEEDS: whole(0, 100_000).default(8_000),
  MAX_EXPORTS: whole(0, 10_000).default(50),
  /** Seconds for which a stopping process is not ready but keeps serving. */
  DRAIN_DELAY: whole(0, 600).default(5),
  /** Seconds that requests under way may take after that. */
  DRAIN_TIME: whole(1, 3_600).default(10),
  LOG_LEVEL: z.enum(levels, `must be one of ${levels.join(', ')}`).default('info'),
});

export type Config = z.output<typeof environment>;

/** Checks between variables. */
function checkTogether(config: Config, ctx: z.core.$RefinementCtx): void {
  const fault = (name: string, message: string) => ctx.addIssue({ code: 'custom', path: [name], message });
  const { HOST, MONGODB_URI, NODE_ENV, ADMIN_EMAIL, ADMIN_PASSWORD, SMTP_URL, MAIL_FROM, PUBLIC_URL } =
    config;
  if (!MONGODB_URI && !LOOPBACK.test(HOST))
    fault(
      'HOST',
      'must be a loopback address unless MONGODB_URI is set: the embedded database has demo accounts with a public password',
    );
  if (!MONGODB_URI && NODE_ENV === 'production')
    fault('MONGODB_URI', 'must be set if NODE_ENV is production: the embedded database is for development');
  const isFaulty = (name: string) => ctx.issues.some(({ path }) => path?.[0] === name);
  if (!MONGODB_URI)
    for (const name of openingsOf(config).filter((name) => !isFaulty(name)))
      fault(
        name,
        'must not be set unless MONGODB_URI is: it opens the API to others, and the embedded database has demo accounts with a public password',
      );
  if (config.QUERY_TIME >= config.ANSWER_TIME)
    fault('QUERY_TIME', 'must be less than ANSWER_TIME: the request would be refused before its query ends');
  if (SMTP_URL && !MAIL_FROM) fault('MAIL_FROM', 'must be set if SMTP_URL is: mails need a sender');
  if (SMTP_URL && !PUBLIC_URL)
    fault('PUBLIC_URL', 'must be set if SMTP_URL is: the links in mails lead there');
  if (ADMIN_EMAIL && !ADMIN_PASSWORD)
    fault('ADMIN_PASSWORD', 'must be set if ADMIN_EMAIL is: the first admin needs both');
  if (ADMIN_PASSWORD && !ADMIN_EMAIL)
    fault('ADMIN_EMAIL', 'must be set if ADMIN_PASSWORD is: the first admin needs both');
}

/** Whether others can reach it or depend on it: then well-known passwords and keys are refused. */
export const isProduction = (config: Config): boolean =>
  config.NODE_ENV === 'production' ||
  !isLoopback(config.HOST) ||
  (config.MONGODB_URI !== undefined && !isLocal(config.MONGODB_URI)) ||
  openingsOf(config).length > 0;

/** Settings that admit others even if HOST is a loopback address: a proxy in front, or web pages of other machines. */
const openingsOf = ({ TRUST_PROXY, CORS_ORIGINS }: Config): string[] => [
  ...(TRUST_PROXY > 0 ? ['TRUST_PROXY'] : []),
  ...(CORS_ORIGINS.some((origin) => !isOrigin(origin) || !isLoopback(new URL(origin).host))
    ? ['CORS_ORIGINS']
    : []),
];

/**
 * Whether a Host header names this machine. After DNS rebinding, an attacker's host name resolves to this machine and
 * the browser treats the server as that page's own origin; the Host header still contains the attacker's name.
 */
export const isOwnHost =
  (config: Config) =>
  (host: string): boolean =>
    isLoopback(host) || host === new URL(addressOf(config)).host;

/** An @ after the hosts could belong to a password: then the hosts are uncertain. */
const isLocal = (uri: string): boolean => !/:\/\/.*[/?].*@/.test(uri) && hostsOf(uri).every(isLoopback);

/** A port follows a name or a bracketed IPv6 address; the end of a bare IPv6 address is not a port. */
export const isLoopback = (host: string): boolean =>
  LOOPBACK.test(host.replace(/^([^:]*|\[.*\]):\d+$/, '$1'));

/** Where clients reach the API, as far as the configuration says. */
export const addressOf = ({ PUBLIC_URL, HOST, PORT }: Config): string =>
  PUBLIC_URL ?? `http://${HOST.includes(':') ? `[${HOST}]` : HOST}:${PORT}`;

/**
 * Reads the configuration from the environment; an empty variable counts as not set. A secret may be in a file whose
 * path is in the variable with the suffix _FILE. Throws an Error that names every invalid variable and its fault, never
 * its value.
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const { secrets, faults } = readSecretFiles(set);
  const result = environment.superRefine(checkTogether).safeParse({ ...set, ...secrets });
  if (result.success && faults.length === 0) return result.data;
  const issues = result.error?.issues ?? [];
  const lines = [...faults, ...issues.map(({ path, message }) => `${path.join('.')} ${message}`)];
  throw invalidEnvironment(lines);
}

/** Each fault begins with the name of its variable. */
export const invalidEnvironment = (faults: string[]): Error =>
  new Error(`The environment is invalid:\n${faults.map((line) => `  ${line}`).join('\n')}`);

/** The configuration of this process: the environment, plus an .env file if there is one. */
export function loadConfig(): Config {
  try {
    process.loadEnvFile();
  } catch {
    // No .env file.
  }
  return readConfig(process.env);
}
