import { z } from 'zod';
import { Problem } from '../../src/errors.ts';
import { command } from '../../src/http/command.ts';
import { create, read, remove, replace, update } from '../../src/http/crud.ts';
import { list, related } from '../../src/http/list.ts';
import { parameter } from '../../src/http/own-parameters.ts';
import { flag } from '../../src/http/query.ts';
import type { Route } from '../../src/http/route.ts';
import { User } from '../../src/resources/users/user.ts';
import { decimal } from '../../src/schema/decimal.ts';
import { day, ref, text } from '../../src/schema/fields.ts';
import { resource } from '../../src/schema/resource.ts';
import * as store from '../../src/schema/store.ts';
import { Book } from '../sample/books/book.ts';

const [book, borrower] = [Book.example.id, User.example.id];
const today = (): string => new Date().toISOString().slice(0, 10);

export const Loan = resource('Loan', {
  collection: 'loans',
  description: 'A book that a user borrows',
  fields: {
    book: ref(Book, 'restrict').describe('Lent to one at a time'),
    borrower: ref(User, 'restrict'),
    lentOn: day(),
    dueOn: day(),
    returnedOn: day().nullable(),
    condition: z.strictObject({ before: text(1, 500), after: text(1, 500).nullable() }),
    notes: z.array(z.strictObject({ text: text(1, 500), author: ref(User, 'detach').nullable() })).max(20),
    fine: decimal(6, 2, { min: 0 }),
  },
  policy: {
    owner: 'borrower',
    read: ['owner', 'editor'],
    create: ['editor'],
    update: ['owner', 'editor'],
  },
  access: {
    book: { write: ['editor'] },
    lentOn: { write: ['editor'] },
    dueOn: { write: ['editor'] },
    returnedOn: { write: [] },
    condition: { write: ['editor'] },
    'condition.after': { write: [] },
    fine: { write: ['editor'] },
  },
  defaults: { lentOn: today, returnedOn: null, notes: [], fine: decimal(6, 2).parse('0') },
  rules: [
    {
      code: 'due_before_lent',
      fields: ['dueOn'],
      message: 'must not be before lentOn',
      check: ({ lentOn, dueOn }) => dueOn >= lentOn,
      expression: { $gte: ['$dueOn', '$lentOn'] },
    },
    {
      code: 'returned_without_condition',
      fields: ['returnedOn', 'condition.after'],
      message: 'must be known if the other is',
      check: ({ returnedOn, condition }) => (returnedOn === null) === (condition.after === null),
    },
  ],
  indexes: [
    { key: { book: 1 }, unique: true, where: { returnedOn: null } },
    { key: { book: 1, _id: 1 } },
    { key: { borrower: 1, _id: 1 } },
    { key: { dueOn: 1, _id: 1 } },
    { key: { fine: 1, _id: 1 } },
    { key: { 'notes.author': 1, _id: 1 } },
  ],
  search: ['condition.before', 'notes.text'],
  example: {
    id: '65f000000000000000000301',
    book,
    borrower,
    lentOn: '2026-01-02',
    dueOn: '2026-01-30',
    returnedOn: '2026-01-31',
    condition: { before: 'New', after: 'A torn page' },
    notes: [{ text: 'Keep it dry', author: borrower }],
    fine: '0.50',
  },
});

const overdue = parameter({
  schema: flag(),
  description: 'Only loans that are late by now, or only the others',
  paths: ['dueOn', 'returnedOn'],
  condition: (is) => ({ [is ? '$and' : '$nor']: [{ returnedOn: null, dueOn: { $lt: today() } }] }),
});
const listing = {
  filter: ['id', 'book', 'borrower', 'dueOn', 'fine', 'notes.author'],
  sort: ['dueOn', 'fine'],
  parameters: { overdue },
} as const;

export const routes = (): Route[] => [
  list(Loan, listing),
  create(Loan, {
    example: { book, borrower, dueOn: '2099-12-31', condition: { before: 'New', after: null } },
  }),
  read(Loan),
  replace(Loan),
  update(Loan, { example: { notes: [{ text: 'Another week?', author: borrower }] } }),
  remove(Loan, { example: '65f000000000000000000302' }),
  related(User, Loan, 'borrower', listing),
  command(Loan, 'return', {
    summary: 'Return a book',
    description: 'From now on it can be lent again. A loan that has ended is refused.',
    problems: ['conflict'],
    example: '65f000000000000000000303',
    policy: { role: 'editor', scope: 'loans:write' },
    body: {
      schema: z.strictObject({ condition: text(1, 500) }).meta({ id: 'Return' }),
      example: { condition: 'A coffee stain' },
    },
    handler: ({ params, body: { condition: after } }) =>
      store.update(Loan, params.id, ({ returnedOn, condition }) => {
        if (returnedOn !== null) throw new Problem('conflict', 'This loan has ended.');
        return { returnedOn: today(), condition: { ...condition, after } };
      }),
  }),
];
