import type { Logger } from 'pino';

/** Mails about accounts. Without a mailer none are sent, and none are required. */

export interface Mail {
  to: string;
  subject: string;
  text: string;
}

export type Mailer = (mail: Mail) => Promise<void>;

let mailer: Mailer | undefined;
/** Mails that are being sent. */
const pending = new Set<Promise<void>>();
const MAX_PENDING = 1_000;
/** Seconds to wait before each retry. */
const PAUSES = [2, 10, 60];

export function useMailer(own: Mailer | undefined): void {
  mailer = own;
}

export const sendsMail = (): boolean => mailer !== undefined;

/**
 * Sends mails in the background: an answer that waited for one would reveal by its duration whether an account exists.
 * A mail that cannot be sent is logged without its address and dropped: its recipient can request another.
 */
export function sendMails(mails: Mail[], log: Pick<Logger, 'error'>): void {
  for (const mail of mails) {
    if (!mailer) return;
    if (pending.size >= MAX_PENDING) {
      log.error('Too many mails are waiting for the SMTP server; one was dropped.');
      continue;
    }
    const sending = send(mailer, mail)
      .catch((error: unknown) => log.error({ err: error }, 'A mail could not be sent (SMTP_URL).'))
      .finally(() => pending.delete(sending));
    pending.add(sending);
  }
}

async function send(mailer: Mailer, mail: Mail): Promise<void> {
  for (const pause of PAUSES) {
    try {
      return await mailer(mail);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pause * 1_000).unref());
    }
  }
  return mailer(mail);
}

/** Resolves when all mails are sent, or after so many milliseconds. */
export const mailsSent = (patience: number): Promise<unknown> =>
  Promise.race([Promise.all(pending), new Promise((resolve) => setTimeout(resolve, patience).unref())]);
