import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import mongoose, { type mongo } from 'mongoose';

/**
 * The baseline: node:http and the driver by hand, on the same collections (MONGODB_URI). It does what a quick
 * prototype would: no login, no checks of references, no audit trail, hardly any validation.
 */

const { MongoClient, ObjectId } = mongoose.mongo;
const client = await new MongoClient(process.env['MONGODB_URI'] as string, { maxPoolSize: 50 }).connect();
const [users, posts, books, tags] = ['users', 'posts', 'books', 'tags'].map((name) =>
  client.db().collection(name),
) as [mongo.Collection, mongo.Collection, mongo.Collection, mongo.Collection];

const shown = ({ _id, ...rest }: mongo.Document) => ({ id: _id, ...rest });
const byId = async (from: mongo.Collection, ids: unknown[]) =>
  new Map(
    (await from.find({ _id: { $in: ids as never } }).toArray()).map((one) => [String(one._id), shown(one)]),
  );
const idsIn = (body: any, field: string) => body[field].map((id: string) => new ObjectId(id));
const stamps = () => ({ createdAt: new Date(), updatedAt: new Date() });

async function listPosts(query: URLSearchParams) {
  const found = await posts
    .find()
    .sort({ _id: -1 })
    .skip(Number(query.get('offset')))
    .limit(20)
    .toArray();
  const [authors, named] = await Promise.all([
    byId(
      users,
      found.map(({ author }) => author),
    ),
    byId(
      tags,
      found.flatMap((post) => post['tags']),
    ),
  ]);
  return {
    items: found.map((post) => ({
      ...shown(post),
      author: authors.get(String(post['author'])),
      tags: post['tags'].map((id: unknown) => named.get(String(id))),
    })),
  };
}

/** As the indexes of books compare texts: without it, MongoDB could not sort by an index. */
const options = { collation: { locale: 'en' } };

async function listBooks(query: URLSearchParams) {
  const filter = { year: { $gte: Number(query.get('year[gte]')) } };
  const [items, total] = await Promise.all([
    books.find(filter, options).sort({ year: -1, _id: -1 }).limit(20).toArray(),
    query.get('count') ? books.countDocuments(filter, options) : undefined,
  ]);
  return { items: items.map(shown), total };
}

async function createBook(body: any) {
  const book = { isbn: null, language: null, ...body, tags: idsIn(body, 'tags'), ...stamps() };
  await books.insertOne(book);
  return shown(book);
}

async function createPost(body: any) {
  const post = {
    ...body,
    author: new ObjectId(body.author as string),
    tags: idsIn(body, 'tags'),
    books: idsIn(body, 'books'),
    status: 'draft',
    publishedAt: null,
    ...stamps(),
  };
  await client.withSession((session) =>
    session.withTransaction(async () => {
      if (!(await users.findOne({ _id: post.author }, { session })))
        throw new Error('The author does not exist.');
      await posts.insertOne(post, { session });
    }),
  );
  return shown(post);
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url as string, 'http://localhost');
  const id = pathname.split('/')[2];
  const isWrite = request.method === 'POST';
  const about = pathname.startsWith('/posts') ? 'posts' : 'books';
  const body = isWrite ? await json(request) : undefined;
  const result = isWrite
    ? await (about === 'posts' ? createPost(body) : createBook(body))
    : id
      ? shown((await books.findOne({ _id: new ObjectId(id) })) as mongo.Document)
      : await (about === 'posts' ? listPosts(searchParams) : listBooks(searchParams));
  const text = JSON.stringify(result);
  response.writeHead(isWrite ? 201 : 200, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  console.log(`answers at http://127.0.0.1:${port}`);
});
