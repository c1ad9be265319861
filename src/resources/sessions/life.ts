import { origin } from '../../auth/origin.ts';

const DAY = 24 * 60 * 60 * 1_000;
/** A session ends when it has not been used for so long, in milliseconds. */
const IDLE = 30 * DAY;
/** And however much it is used, after so long. */
const LIFE = 90 * DAY;

/** When a session that is used now ends. */
export const expiry = (began = new Date()): Date =>
  new Date(Math.min(Date.now() + IDLE, began.getTime() + LIFE));

/** From where a session is used now. */
export const whereFrom = () => ({ address: origin()?.address ?? null, agent: origin()?.agent ?? null });
