import { origin } from '../../auth/origin.ts';

const DAY = 24 * 60 * 60 * 1_000;
/** An unused session ends after this time, in milliseconds. */
const IDLE = 30 * DAY;
/** Any session ends after this time. */
const LIFE = 90 * DAY;

/** When a session that is used now expires. */
export const expiry = (began = new Date()): Date =>
  new Date(Math.min(Date.now() + IDLE, began.getTime() + LIFE));

/** The address and user agent of the present use. */
export const whereFrom = () => ({ address: origin()?.address ?? null, agent: origin()?.agent ?? null });
