import { z } from 'zod';

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,10}$/, `must be a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((number) => number >= least && number <= most, `must be from ${least} to ${most}`);

const environment = z.object({
  PORT: whole(0, 65_535).default(3000),
  HOST: z.string().default('127.0.0.1'),
  MONGODB_URI: z
    .string()
    .regex(/^mongodb(\+srv)?:\/\/[^/]+/, 'must start with mongodb:// or mongodb+srv:// and name a host')
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
      (origins) => origins.every((origin) => origin === '*' || /^https?:\/\/[^/\s]+$/.test(origin)),
      'must be * or web origins like https://example.org, separated by commas',
    ),
  /** Requests that a client may send in a minute. */
  RATE_LIMIT: whole(1, 1_000_000_000).default(1_200),
  /** How many proxies stand in front; what they say of a client is believed. */
  TRUST_PROXY: whole(0, 10).default(0),
  LOG_LEVEL: z.enum(levels, `must be one of ${levels.join(', ')}`).default('info'),
});

export type Config = z.output<typeof environment>;

/**
 * The configuration that the environment gives; an empty variable counts as one that is not set.
 * Throws an Error that names every faulty variable and what is wrong with it, never its value.
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const result = environment.safeParse(given);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) => `  ${path.join('.')} ${message}`);
  throw new Error(`The environment is not usable:\n${faults.join('\n')}`);
}

/** The configuration of this process: the environment, and what an .env file adds to it; there need not be one. */
export function loadConfig(): Config {
  try {
    process.loadEnvFile();
  } catch {
    // No .env file.
  }
  return readConfig(process.env);
}
