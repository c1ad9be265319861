import { fstatSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { ROLES, type Role } from '../src/auth/caller.ts';
import { hashPassword } from '../src/auth/passwords.ts';
import { password } from '../src/schema/password.ts';
import { makeSecret } from '../src/auth/tokens.ts';
import { databaseProblem } from '../src/mongo/failures.ts';
import { findAccount } from '../src/resources/users/find.ts';
import { User } from '../src/resources/users/user.ts';
import { setRole } from '../src/resources/users/admins.ts';
import { endKeys } from '../src/resources/keys/end.ts';
import { endOthers } from '../src/resources/sessions/end.ts';
import { create, update } from '../src/schema/store.ts';
import { noteEvent } from '../src/schema/changes.ts';
import { audited, runProgram, say, UsageError, withDatabase } from './program.ts';

const USAGE = `Usage: npm run --silent user -- create EMAIL NAME [--role member|editor|admin]
       npm run --silent user -- role EMAIL member|editor|admin
       npm run --silent user -- password EMAIL

Creates users, and changes their roles and passwords. The password is read from standard input if a file or pipe is
given (echo … | npm run …); otherwise, or if it is empty, one is generated and printed once to standard output,
after it was stored. A new password ends all sessions of the user and removes the API keys.

Exit codes: 0 done, 2 it could not run or was refused.`;

function workOf(command: string | undefined, email: string, argument: string | undefined, role: string) {
  switch (command) {
    case 'create':
      if (argument === undefined) throw new UsageError('Give the name, too.');
      return () => createUser(checked({ email, name: argument }), roleOf(role));
    case 'role':
      return () => changeRole(email, roleOf(argument));
    case 'password':
      if (argument !== undefined)
        throw new UsageError(
          'Pass the password on standard input: other users of the machine can see arguments.',
        );
      return () => changePassword(email);
    default:
      throw new UsageError('The commands are create, role and password.');
  }
}

async function createUser(fields: { email: string; name: string }, role: Role): Promise<void> {
  const taken = () => new Error(`There is already a user with the e-mail address ${fields.email}.`);
  if (await findAccount(fields.email)) throw taken();
  const { password, isMade } = await givenOrMade();
  const passwordHash = await hashPassword(password);
  try {
    await audited('user create', () =>
      create(User, { ...fields, role, passwordHash, verifiedAt: new Date() }),
    );
  } catch (error) {
    // Another process was faster: only the address is unique.
    throw databaseProblem(error)?.code === 'duplicate_key' ? taken() : error;
  }
  say(`Created ${fields.email} with the role ${role}.`);
  if (isMade) console.log(password);
}

async function changeRole(email: string, role: Role): Promise<void> {
  await audited('user role', async () => setRole(await idOf(email), role));
  say(`${email} now has the role ${role}.`);
}

async function changePassword(email: string): Promise<void> {
  const id = await idOf(email);
  const { password, isMade } = await givenOrMade();
  const passwordHash = await hashPassword(password);
  await audited('user password', async () => {
    await update(User, id, { passwordHash, verifiedAt: new Date() });
    await endOthers(id);
    await endKeys(id);
    noteEvent({ event: 'password_changed', account: id });
  });
  say(`Changed the password of ${email}.`);
  if (isMade) console.log(password);
}

async function idOf(email: string) {
  const user = await findAccount(email);
  if (!user) throw new Error(`There is no user with the e-mail address ${email}.`);
  return user._id;
}

/** A generated password is printed only after it was stored. */
async function givenOrMade(): Promise<{ password: string; isMade: boolean }> {
  const given = await readInput();
  if (given === '') return { password: makeSecret(), isMade: true };
  return { password: checkedBy(password(), given, 'The password'), isMade: false };
}

/** The piped input. It may take a while, hence the message; other kinds of input might never end. */
async function readInput(): Promise<string> {
  if (!isPiped()) return '';
  say('Reading the password from standard input until its end; if it is empty, a password is generated.');
  return (await text(process.stdin)).replace(/\r?\n$/, '');
}

function isPiped(): boolean {
  try {
    const input = fstatSync(0);
    return input.isFIFO() || input.isFile() || input.isSocket();
  } catch {
    // It is closed.
    return false;
  }
}

const roleOf = (role: string | undefined): Role => {
  const known = ROLES.find((one) => one === role);
  if (!known) throw new UsageError(`The role must be one of ${ROLES.join(', ')}.`);
  return known;
};

const checked = (fields: { email: string; name: string }) => ({
  email: checkedBy(User.fields.email, fields.email, 'The e-mail address'),
  name: checkedBy(User.fields.name, fields.name, 'The name'),
});

function checkedBy(schema: z.ZodType<string>, value: string, what: string): string {
  const { data, error } = schema.safeParse(value);
  if (error) throw new UsageError(`${what} ${error.issues[0]?.message}.`);
  return data;
}

await runProgram(USAGE, async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { role: { type: 'string', default: 'member' } },
  });
  const [command, email, argument, ...more] = positionals;
  if (!email || more.length > 0) throw new UsageError('Give a command and an e-mail address.');
  const work = workOf(command, email, argument, values.role);
  return withDatabase(async () => {
    await work();
    return 0;
  });
});
