import mongoose, { Types } from 'mongoose';
import { ANONYMOUS, runAs } from '../src/auth/caller.ts';
import { query } from '../src/http/paging.ts';
import { showing } from '../src/schema/include.ts';
import { modelOf } from '../src/schema/model.ts';
import { aBook, aPost, aUser } from './sample/factories.ts';
import { Post } from './sample/posts/post.ts';
import { storeAnyhow } from './support/database.ts';
import { useApi } from './support/harness.ts';

/** Answers are bounded in bytes, however large the documents are. */

const api = useApi();

const LARGE = 80_000;
const MOST = 8 * 1024 * 1024;
/** What may come on top: one document, and what is around it. */
const SLACK = 1024 * 1024;

/** So many posts of a book, each of 80 KB. */
async function largePosts(book: Types.ObjectId, count: number): Promise<string[]> {
  const author = (await aUser())._id;
  const post = { ...(await aPost({ author })).toObject(), status: 'published', body: 'x'.repeat(LARGE) };
  const posts = Array.from({ length: count }, () => ({ ...post, _id: new Types.ObjectId(), books: [book] }));
  for (const one of posts) await storeAnyhow(modelOf(Post), one);
  return posts.map(({ _id }) => String(_id));
}

const textOf = async (path: string): Promise<string> => {
  const response = await fetch(api.url() + path);
  expect([path, response.status]).toEqual([path, 200]);
  return response.text();
};

test('a page ends where it would be too large, and goes on from there: nothing is left out, nothing comes twice', async () => {
  const ids = await largePosts((await aBook())._id, 120);
  const seen: string[] = [];
  let after = '';
  do {
    const text = await textOf(`/posts?limit=100${after}`);
    expect(text.length).toBeLessThan(MOST + SLACK);
    const { items, page } = JSON.parse(text);
    seen.push(...items.map(({ id }: { id: string }) => id));
    after = page.next ? `&after=${page.next}` : '';
    if (page.next && seen.length < 100) expect(page.next).not.toBeNull();
  } while (after);
  expect(seen).toEqual(ids.toReversed());
});

test('what refers to the documents of a page has room for 8 MB: each shows its newest, and says if there are more', async () => {
  const books: Types.ObjectId[] = [];
  for (let i = 0; i < 12; i++) {
    const { _id } = await aBook();
    books.push(_id);
    await largePosts(_id, 11);
  }
  for (const path of ['/books?include=posts&limit=100', '/books/export?include=posts']) {
    const text = await textOf(path);
    expect(text.length).toBeGreaterThan(MOST / 2);
    expect(text.length).toBeLessThan(MOST + SLACK);
    const found = path.includes('export')
      ? text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
      : JSON.parse(text).items;
    expect(found).toHaveLength(books.length);
    for (const { posts } of found) {
      expect(posts.hasMore).toBe(true);
      expect(posts.items.length).toBeGreaterThan(0);
    }
  }
});

test('streams of large documents are written in small pieces, one in a turn of the event loop, so that others have theirs', async () => {
  await largePosts((await aBook())._id, 12);
  let turn = 0;
  let isDone = false;
  const count = () => {
    turn++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const show = showing(Post)({});
  const pieces: { turn: number; bytes: number }[] = [];
  const follow = () =>
    runAs(ANONYMOUS, async () => {
      const session = await mongoose.startSession();
      const posts = query(Post, [], [{ field: '_id', direction: -1 }], show.projection).populate(show.joins);
      for await (const rows of posts.stream(show.answer, session))
        pieces.push({ turn, bytes: rows.reduce((sum, { json }) => sum + json.length, 0) });
      await session.endSession();
    });
  try {
    await Promise.all([follow(), follow(), follow()]);
  } finally {
    isDone = true;
  }
  expect(pieces.length).toBeGreaterThanOrEqual(3 * 4);
  expect(Math.max(...pieces.map(({ bytes }) => bytes))).toBeLessThan(3 * LARGE);
  expect(new Set(pieces.map((piece) => piece.turn)).size).toBe(pieces.length);
});
