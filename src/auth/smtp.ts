import type { Mailer } from './mail.ts';

/** Sends mails through an SMTP server: smtp://user:password@host:587, or smtps://…:465. */
export async function smtpMailer(url: string, from: string): Promise<Mailer> {
  // Loaded here: a server without SMTP_URL does not need it.
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({
    url,
    pool: true,
    maxConnections: 3,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 20_000,
    // Mails never include files or URLs, which could leak data of the server's network.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return async ({ to, subject, text }) => {
    await transport.sendMail({ from, to: { name: '', address: to }, subject, text });
  };
}
