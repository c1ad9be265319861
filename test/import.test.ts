import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mongoose from 'mongoose';
import { rowSchema } from '../scripts/import/document.ts';
import { readMap } from '../scripts/import/map.ts';
import { Book } from './sample/books/book.ts';
import { User } from '../src/resources/users/user.ts';
import { resources } from '../src/resources/api.ts';
import { empty, makeDatabase } from './support/database.ts';
import { start as startProgram } from './support/process.ts';

const { MongoClient, ObjectId } = mongoose.mongo;
const serverUri = process.env['TEST_MONGODB_URI'] as string;
const prefix = `test_import_${process.env['JEST_WORKER_ID']}`;
const client = new MongoClient(serverUri);
const here = client.db(`${prefix}_a`);
const there = client.db(`${prefix}_b`);
type Db = typeof here;

let folder: string;
beforeAll(async () => {
  await client.connect();
  for (const db of [here, there]) {
    await db.dropDatabase();
    await makeDatabase(db, resources);
  }
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'import-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
  await Promise.all([empty(here), empty(there)]);
});
afterAll(async () => client.close());

interface Options {
  db?: Db;
  input?: string | Buffer;
  env?: Record<string, string>;
}

/** Starts one of the commands in the test's folder. */
function start(script: 'import' | 'export', args: string[], { db = here, env = {} }: Options = {}) {
  const MONGODB_URI = serverUri.replace(/^(\w+:\/\/[^/?]+)\/?/, `$1/${db.databaseName}`);
  const child = startProgram(`scripts/${script}.ts`, args, { MONGODB_URI, ...env }, folder);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout, stderr })),
  );
  return { child, ended };
}

function run(script: 'import' | 'export', args: string[], options: Options = {}) {
  const { child, ended } = start(script, args, options);
  child.stdin.end(options.input);
  return ended;
}

const write = (name: string, content: string | Buffer) => writeFile(join(folder, name), content);

const refusedRows = async (name: string): Promise<any[]> =>
  (await readFile(join(folder, name), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const all = (db: Db, collection: string) => db.collection(collection).find().sort({ _id: 1 }).toArray();

const times = {
  createdAt: new Date('2020-01-02T03:04:05.678Z'),
  updatedAt: new Date('2021-01-02T03:04:05Z'),
};

test('a mapped CSV goes in once, and its refused rows say where and why', async () => {
  await write(
    'map.json',
    JSON.stringify({
      title: 'Name',
      authors: { from: 'Writers', split: '; ' },
      year: { from: 'Published' },
      isbn: { from: 'ISBN', pad: 10 },
      language: 'Lang',
    }),
  );
  const lines = [
    '\uFEFFName,Writers,Published,ISBN,Lang,Other',
    '"A ""quoted"", title",Ann A; Ben B,2008.0,439023483,eng,x',
    '"Two\r\nlines",Homer,-750.0,,,',
    'Wrong digit,Ann A,1999,439023484,eng,',
    '"Open quote,Ann A,,,,',
    '5" disk,Ann A,,,,',
    'Too,short',
    '',
    ',Nobody,twelve,,English!,',
    'Caf\u00e9,Ann A,,,,',
    'Last,Ann A,,,"",',
  ];
  const [head = '', tail = ''] = lines.join('\r\n').split('\u00e9');
  await write('rows.csv', Buffer.concat([Buffer.from(head), Buffer.of(0xe9), Buffer.from(tail)]));

  const first = await run('import', ['books', 'rows.csv', '--map', 'map.json']);
  expect(first).toMatchObject({ code: 1, stderr: '' });
  expect(first.stdout).toMatch(
    /9 rows read[^]*3 stored[^]* 0 already there[^]*6 refused: see rows.csv.refused.ndjson/,
  );

  const books = await all(here, 'books');
  const byTitle = new Map(books.map(({ _id, createdAt, updatedAt, title, ...fields }) => [title, fields]));
  expect(Object.fromEntries(byTitle)).toEqual({
    'A "quoted", title': {
      authors: ['Ann A', 'Ben B'],
      year: 2008,
      isbn: '0439023483',
      language: 'en',
      tags: [],
    },
    'Two\r\nlines': { authors: ['Homer'], year: -750, isbn: null, language: null, tags: [] },
    Last: { authors: ['Ann A'], year: null, isbn: null, language: null, tags: [] },
  });
  for (const { createdAt, updatedAt } of books) {
    expect(Math.abs(createdAt.getTime() - Date.now())).toBeLessThan(60_000);
    expect(updatedAt).toEqual(createdAt);
  }
  const indexes = await here.collection('books').indexes();
  expect(indexes.filter(({ unique, key }) => unique && 'isbn' in key)).toHaveLength(1);

  const refused = await refusedRows('rows.csv.refused.ndjson');
  const reasons = refused.map(({ line, errors }) => [
    line,
    ...errors.map((error: any) => `${error.pointer} ${error.code}`),
  ]);
  expect(reasons).toEqual([
    [5, '/isbn wrong_check_digit'],
    [6, ' malformed_csv'],
    [7, ' malformed_csv'],
    [8, ' malformed_csv'],
    [10, '/title required', '/year invalid_type', '/language invalid_format'],
    [11, ' invalid_utf8'],
  ]);
  expect(refused[0].errors[0].message).toBe('is not an ISBN: its check digit is wrong');
  expect(refused[0].row).toEqual({
    Name: 'Wrong digit',
    Writers: 'Ann A',
    Published: '1999',
    ISBN: '439023484',
    Lang: 'eng',
    Other: null,
  });
  expect(refused[2].row).toBe('5" disk,Ann A,,,,\r');

  // An edit, a row that meets another one's unique value, and a second run: nothing is doubled or changed.
  await here.collection('books').updateOne({ title: 'Last' }, { $set: { year: 2001 } });
  const before = await all(here, 'books');
  await write(
    'rows.csv',
    `${lines.slice(0, 3).join('\r\n')}\r\nSame ISBN,Ann A,,439023483,,\r\nLast,Ann A,,,,`,
  );
  const second = await run('import', ['books', 'rows.csv', '--map', 'map.json']);
  expect(second.code).toBe(0);
  expect(second.stdout).toMatch(/ 0 stored[^]* 4 already there[^]* 0 refused$/m);
  expect(await all(here, 'books')).toEqual(before);
});

test('NDJSON from standard input: ids and times are kept, and a line that is no document is refused', async () => {
  const id = '65f0000000000000000000f1';
  const createdAt = '2001-02-03T04:05:06.789Z';
  const good = { title: 'Kept', authors: ['A'], isbn: '9780061054884', id, createdAt, updatedAt: createdAt };
  const input = Buffer.concat([
    Buffer.from(`${JSON.stringify(good)}\n\n{"title":"Cut off\n[1]\n`),
    Buffer.from(
      `{"title":"No such field","authors":["A"],"langauge":"en"}\n{"title":"${'x'.repeat(2 ** 20)}"}\n`,
    ),
    Buffer.from('{"title":"Caf'),
    Buffer.of(0xe9),
    Buffer.from(
      '"}\r\n{"title":"By hand","authors":["A"],"year":"1999"}\n{"title":"No line end","authors":["A"]}',
    ),
  ]);
  const { code, stdout } = await run(
    'import',
    ['books', '-', '--format', 'ndjson', '--refused', 'no.ndjson'],
    { input },
  );
  expect(code).toBe(1);
  expect(stdout).toMatch(/8 rows read[^]* 2 stored[^]* 0 already there[^]* 6 refused: see no.ndjson/);

  const refused = await refusedRows('no.ndjson');
  expect(refused.map(({ line, errors: [error] }) => [line, error.pointer, error.code])).toEqual([
    [3, '', 'malformed_json'],
    [4, '', 'invalid_type'],
    [5, '/langauge', 'unknown_field'],
    [6, '', 'too_long'],
    [7, '', 'invalid_utf8'],
    [8, '/year', 'invalid_type'],
  ]);
  expect(refused[2].errors[0].message).toContain('did you mean language?');
  expect(refused[2].row).toEqual({ title: 'No such field', authors: ['A'], langauge: 'en' });
  expect(refused[3].row.length).toBeLessThan(1_000);

  const [kept, made] = (await all(here, 'books')).sort((a, b) => (a['title'] < b['title'] ? -1 : 1));
  const times = { createdAt: new Date(createdAt), updatedAt: new Date(createdAt) };
  expect(kept).toMatchObject({ _id: new ObjectId(id), ...times, isbn: good.isbn, year: null });
  expect(made).toMatchObject({ title: 'No line end' });
  expect(made?._id.getTimestamp().getTime()).toBeLessThan(new Date(createdAt).getTime());
});

test('a dry run validates and stores nothing, without a database', async () => {
  await write('tags.csv', 'name,description\nepic,long\n,nameless\n');
  const env = { MONGODB_URI: 'mongodb://127.0.0.1:1/x' };
  const { code, stdout } = await run('import', ['tags', 'tags.csv', '--dry-run'], { env });
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /2 rows read[^]* 1 valid; this was a dry run[^]* 1 refused: see tags.csv.refused.ndjson/,
  );
  expect(await refusedRows('tags.csv.refused.ndjson')).toMatchObject([
    { line: 3, errors: [{ pointer: '/name' }] },
  ]);
  expect(await readdir(folder)).toEqual(['tags.csv', 'tags.csv.refused.ndjson']);
});

test('what refers to others is stored where they exist, and refused otherwise', async () => {
  const author = new ObjectId();
  const tag = new ObjectId();
  await here
    .collection('users')
    .insertOne({ _id: author, ...User.defaults, name: 'Ann', email: 'ann@example.org', ...times });
  await here.collection('tags').insertOne({ _id: tag, name: 'epic', description: null, ...times });
  const post = { title: 'One', body: 'Text', author, tags: [tag] };
  const nobody = new ObjectId();
  const publishedAt = '2020-01-01T00:00:00.000Z';
  const rows = [
    post,
    { ...post, title: 'Two', status: 'published', publishedAt },
    { ...post, author: nobody },
    post,
  ];
  await write('posts.ndjson', rows.map((row) => JSON.stringify(row)).join('\n'));

  const first = await run('import', ['posts', 'posts.ndjson']);
  expect(first).toMatchObject({ code: 1, stderr: '' });
  expect(first.stdout).toMatch(/ 2 stored[^]* 1 already there[^]* 1 refused/);
  expect(await refusedRows('posts.ndjson.refused.ndjson')).toMatchObject([
    { line: 3, errors: [{ pointer: '/author', code: 'reference_not_found' }] },
  ]);
  const stored = await all(here, 'posts');
  expect(stored.map(({ status, author, tags }) => ({ status, author, tags }))).toEqual(
    expect.arrayContaining([
      { status: 'draft', author, tags: [tag] },
      { status: 'published', author, tags: [tag] },
    ]),
  );

  const second = await run('import', ['posts', 'posts.ndjson']);
  expect(second.stdout).toMatch(/ 0 stored[^]* 3 already there[^]* 1 refused/);
  expect(await all(here, 'posts')).toEqual(stored);
});

test('an export goes back into an empty database as it was, and hides what the API hides from an admin', async () => {
  const times = {
    createdAt: new Date('2020-01-02T03:04:05.678Z'),
    updatedAt: new Date('2021-01-02T03:04:05Z'),
  };
  const tags = [
    { name: 'null', description: null },
    { name: 'empty', description: '' },
    { name: '=1+1', description: ' a\r\nb, "c"\n\u2028é😀 ' },
  ];
  const books = [
    { title: 'The Iliad', authors: ['Homer'], year: -750, isbn: null, language: 'grc', tags: [] },
    { title: '007, "x"', authors: ['A, B', '"C"'], year: null, isbn: '0439023483', language: null, tags: [] },
  ];
  await here.collection('tags').insertMany(tags.map((tag) => ({ ...tag, ...times })));
  await here.collection('books').insertMany(books.map((book) => ({ ...book, ...times })));
  await here.collection('users').insertOne({
    name: 'Ann',
    email: 'a@example.org',
    role: 'admin',
    bio: null,
    passwordHash: 'x',
    verifiedAt: null,
    lockedAt: null,
    ...times,
  });

  const [csv, ndjson, users] = await Promise.all([
    run('export', ['tags', '--format', 'csv']),
    run('export', ['books']),
    run('export', ['users']),
    run('export', ['books', '--out', 'books.csv']),
  ]);
  expect(Object.keys(JSON.parse(users.stdout))).toEqual([
    'id',
    'name',
    'email',
    'role',
    'bio',
    'verifiedAt',
    'lockedAt',
    'createdAt',
    'updatedAt',
  ]);
  expect(csv.stdout.split('\r\n')[1]).toMatch(
    /^[0-9a-f]{24},null,,2020-01-02T03:04:05.678Z,2021-01-02T03:04:05.000Z$/,
  );
  expect(csv.stderr).toMatch(/^3 tags exported/);

  const back = { db: there };
  const imports = await Promise.all([
    run('import', ['tags', '-', '--format', 'csv'], { ...back, input: csv.stdout }),
    run('import', ['books', 'books.csv'], back),
  ]);
  expect(imports.map(({ code }) => code)).toEqual([0, 0]);
  expect(await all(there, 'tags')).toEqual(await all(here, 'tags'));
  expect(await all(there, 'books')).toEqual(await all(here, 'books'));

  await there.collection('books').deleteMany({});
  expect(
    await run('import', ['books', '-', '--format', 'ndjson'], { ...back, input: ndjson.stdout }),
  ).toMatchObject({ code: 0 });
  expect(await all(there, 'books')).toEqual(await all(here, 'books'));
});

test('a map that cannot be used is refused with all that is wrong', async () => {
  const { shape } = rowSchema(Book);
  const map = {
    isnb: 'ISBN',
    authors: { split: ', ' },
    year: { from: 'Year', pad: 4 },
    isbn: { from: 'ISBN', pad: 0 },
  };
  await write('bad.json', JSON.stringify(map));
  const badMap = await readMap(join(folder, 'bad.json'), shape).catch(String);
  for (const line of [
    'title: is missing: this field is required',
    'authors.from: must be the name of a column',
    'year.pad: is not an option',
    'isbn.pad: must be a length from 1 to 100',
    'isnb: is not a field; the fields are title, authors, year, isbn',
  ])
    expect(badMap).toContain(line);
});

test('what cannot run says why, with exit code 2', async () => {
  await write('map.json', JSON.stringify({ title: 'Name', authors: 'Writers' }));
  await write('books.csv', 'Name,Name,Author\nx,y,z\n');
  const [badHeader, unmapped, badOption, noResource, noFile, noDatabase] = await Promise.all([
    run('import', ['books', 'books.csv', '--map', 'map.json']),
    run('import', ['books', 'books.csv']),
    run('import', ['books', 'books.csv', '--dryrun']),
    run('export', ['bokos']),
    run('import', ['books', 'no-such-file.csv']),
    run('import', ['books', 'books.csv'], { env: { MONGODB_URI: 'mongodb://127.0.0.1:1/x' } }),
  ]);
  expect(badHeader.stderr).toMatch(/Name is repeated\n.*Writers is missing/);
  expect(unmapped.stderr).toContain('are not fields: "Name", "Name", "Author"');
  expect(badOption.stderr).toMatch(/--dryrun[^]*Usage: npm run import/);
  expect(noResource.stderr).toMatch(
    /no resource "bokos"; there are .*books[^]*Usage: npm run --silent export/,
  );
  expect(noFile.stderr).toMatch(/cannot be read: ENOENT/);
  expect(noDatabase.stderr).toMatch(/MongoDB cannot be used at 127.0.0.1:1/);
  for (const { code } of [badHeader, unmapped, badOption, noResource, noFile, noDatabase])
    expect(code).toBe(2);
  expect(await here.collection('books').countDocuments()).toBe(0);
});

test('Ctrl-C stores what has been read and says so; a reader that goes away ends an export quietly', async () => {
  const importing = start('import', ['books', '-', '--format', 'ndjson']);
  const rows = Array.from({ length: 1_500 }, (_, i) => `{"title":"Book ${i}","authors":["A"]}\n`);
  importing.child.stdin.write(rows.join(''));
  // The first batch of a thousand goes in at once; the others wait for more.
  while ((await here.collection('books').countDocuments()) === 0)
    await new Promise((resolve) => setTimeout(resolve, 50));
  importing.child.kill('SIGINT');
  const interrupted = await importing.ended;
  expect(interrupted.code).toBe(130);
  expect(interrupted.stdout).toMatch(/1,500 rows read[^]* 1,500 stored/);
  expect(interrupted.stderr).toContain('up to line 1500 are done');
  expect(await here.collection('books').countDocuments()).toBe(1_500);

  const exporting = start('export', ['books']);
  exporting.child.stdout.once('data', () => exporting.child.stdout.destroy());
  expect(await exporting.ended).toMatchObject({ code: 0, stderr: '' });
});

const MAP = {
  title: 'Titel',
  authors: { from: 'Verfasser', split: ' / ' },
  isbn: 'ISBN',
  tags: { from: 'Genres', split: '|', find: 'name', create: true },
};

test('files of other programs: delimiters, line ends, encodings and cells that look like formulas', async () => {
  await write('map.json', JSON.stringify(MAP));
  const header = ['Titel', 'Verfasser', 'ISBN', 'Genres'];
  const rows = (name: string) => [
    header,
    [`${name} ü`, 'Jemand, der', '', 'Epic | Roman'],
    [name, 'X / Y', '', ''],
  ];
  const written = (name: string, delimiter: string, end: string) =>
    rows(name)
      .map((cells) => cells.join(delimiter) + end)
      .join('');
  const isbn = (name: string, cell: string) => `${header.join(';')}\n${name};X;${cell};\n`;
  await Promise.all([
    write('semicolons.csv', `sep=;\r\n${written('Semicolons', ';', '\r\n')}`),
    write('tabs.tsv', written('Tabs', '\t', '\r')),
    write('hashes.csv', written('Hashes', '#', '\n')),
    write('western.csv', Buffer.from(written('Western', ';', '\n'), 'latin1')),
    write('wide.csv', Buffer.from(`\ufeff${written('Wide', '\t', '\r\n')}`, 'utf16le')),
    write('formula.csv', isbn('Formula', '="9780441478125"')),
    write('quoted.csv', isbn('Quoted', '"=""9780061054884"""')),
  ]);
  const load = (file: string, ...options: string[]) =>
    run('import', ['books', file, '--map', 'map.json', ...options]);
  for (const [file = '', ...options] of [
    ['semicolons.csv'],
    ['tabs.tsv'],
    ['hashes.csv', '--delimiter', '#'],
    ['western.csv', '--encoding', 'windows-1252'],
    ['wide.csv', '--encoding', 'utf-16le'],
    ['formula.csv'],
    ['quoted.csv'],
  ])
    expect([file, await load(file, ...options)]).toMatchObject([file, { code: 0 }]);

  const tags = await all(here, 'tags');
  expect(tags.map(({ name }) => name).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(['Epic', 'Roman']);
  const books = new Map((await all(here, 'books')).map((book) => [book['title'], book]));
  for (const name of ['Semicolons', 'Tabs', 'Hashes', 'Western', 'Wide']) {
    expect(books.get(`${name} ü`)).toMatchObject({ authors: ['Jemand, der'] });
    expect(books.get(`${name} ü`)?.['tags']).toHaveLength(2);
    expect(books.get(name)).toMatchObject({ authors: ['X', 'Y'], isbn: null, tags: [] });
  }
  expect([books.get('Formula')?.['isbn'], books.get('Quoted')?.['isbn']]).toEqual([
    '9780441478125',
    '9780061054884',
  ]);
});

test('rows that are there are listed with the field that says so, and --update gives their documents what they say', async () => {
  await write('map.json', JSON.stringify(MAP));
  const header = 'Titel,Verfasser,ISBN,Genres';
  await write('books.csv', `${header}\nOne,A,9780441478125,epic\nTwo,B,,\n`);
  const load = (...options: string[]) =>
    run('import', ['books', 'books.csv', '--map', 'map.json', ...options]);
  expect((await load()).stdout).toMatch(/2 stored/);
  const [tag] = await all(here, 'tags');
  await here.collection('books').updateMany({}, { $set: { year: 1969, ...times } });

  // A row on top changes nothing for those below it, which have no id; a name is found whatever its case.
  await write('books.csv', `${header}\nNew,N,,EPIC\nOne more,A,9780441478125,\nTwo,B,,\n`);
  const second = await load();
  expect(second).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/1 stored[^]* 2 already there.*see books.csv.present.ndjson/),
  });
  expect(await refusedRows('books.csv.present.ndjson')).toMatchObject([
    { line: 3, errors: [{ pointer: '/isbn', code: 'present' }], row: { Titel: 'One more' } },
    { line: 4, errors: [{ pointer: '/id', code: 'present' }] },
  ]);
  expect(await all(here, 'tags')).toEqual([tag]);
  expect(await here.collection('books').findOne({ title: 'New' })).toMatchObject({ tags: [tag?._id] });

  const third = await load('--update');
  expect(third.stdout).toMatch(/0 stored[^]* 1 updated[^]* 2 already there/);
  const updated = await here.collection('books').findOne({ isbn: '9780441478125' });
  expect(updated).toMatchObject({
    title: 'One more',
    authors: ['A'],
    // An empty cell says nothing of a field that cannot be null.
    tags: [tag?._id],
    year: 1969,
    createdAt: times.createdAt,
  });
  expect(updated?.['updatedAt'].getTime()).toBeGreaterThan(times.updatedAt.getTime());
  expect(await here.collection('books').findOne({ title: 'Two' })).toMatchObject({ year: 1969, ...times });
});

test('what mongoexport writes is read, by properties inside others, too; a name that nothing has is refused', async () => {
  await here
    .collection('users')
    .insertOne({ ...User.defaults, name: 'Ann', email: 'ann@example.org', ...times } as never);
  const id = '65f0000000000000000000f1';
  const books = [
    {
      _id: { $oid: id },
      title: 'Kept',
      authors: ['A'],
      year: { $numberInt: '1999' },
      createdAt: { $date: times.createdAt },
    },
    { _id: 'b-1', title: 'Not an id', authors: ['A'] },
  ];
  await write('books.ndjson', books.map((book) => JSON.stringify(book)).join('\n'));
  expect((await run('import', ['books', 'books.ndjson'])).stdout).toMatch(/1 stored[^]* 1 refused/);
  expect(await all(here, 'books')).toMatchObject([
    { _id: new ObjectId(id), title: 'Kept', year: 1999, createdAt: times.createdAt },
  ]);

  const map = {
    title: 'head.line',
    body: 'text',
    author: { from: 'by.mail', find: 'email' },
    books: { from: 'about', find: 'title' },
  };
  const post = {
    _id: 'p-1',
    head: { line: 'Hello' },
    text: 'There',
    by: { mail: 'ann@example.org' },
    about: ['Kept'],
  };
  await write('map.json', JSON.stringify(map));
  await write(
    'posts.ndjson',
    [post, { ...post, about: ['Kept', 'Lost'] }].map((one) => JSON.stringify(one)).join('\n'),
  );
  expect((await run('import', ['posts', 'posts.ndjson', '--map', 'map.json'])).stdout).toMatch(
    /1 stored[^]* 1 refused/,
  );
  expect(await refusedRows('posts.ndjson.refused.ndjson')).toMatchObject([
    {
      line: 2,
      errors: [
        {
          pointer: '/books/1',
          code: 'reference_not_found',
          message: 'there is no book whose title is "Lost"',
        },
      ],
    },
  ]);
  expect(await all(here, 'posts')).toMatchObject([{ title: 'Hello', books: [new ObjectId(id)] }]);
});
