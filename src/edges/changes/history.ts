import { type Commit, type Followed, HistoryLost, readCommits, restOf } from './commits.ts';
import { type Position, SECOND } from './position.ts';
import type { Tail } from './tail.ts';

/**
 * Reads history older than the buffer, for clients that return after a while. It is read in pages; clients at about
 * the same position, as after a restart, share a page.
 */

/** The most history cursors of a process. */
const MAX_READERS = 4;
/** A page ends after so many commits or bytes. */
const PAGE = 1_000;
const PAGE_BYTES = 4 * 1024 * 1024;
/** Clients no further apart than this read together. */
const TOGETHER = 60 * SECOND;

export interface Page {
  commits: Commit[];
  /** Where the history continues. */
  position: Position;
}

interface Reader {
  from: Position;
  resolve: (page: Page) => void;
  reject: (error: unknown) => void;
}

export function createHistory(followed: Followed, tail: Tail) {
  let waiting: Reader[] = [];
  let reading = 0;

  const read = (from: Position): Promise<Page> =>
    new Promise((resolve, reject) => {
      waiting.push({ from, resolve, reject });
      // Requests of the same turn of the event loop are grouped.
      setImmediate(next);
    });

  function next(): void {
    if (waiting.length === 0 || reading >= MAX_READERS) return;
    const oldest = waiting.reduce((a, b) => (b.from.time < a.from.time ? b : a));
    const together = waiting.filter(({ from }) => from.time - oldest.from.time < TOGETHER);
    waiting = waiting.filter((reader) => !together.includes(reader));
    reading++;
    void serve(oldest.from, together).finally(() => {
      reading--;
      next();
    });
    next();
  }

  async function serve({ time }: Position, readers: Reader[]): Promise<void> {
    try {
      // The commit at that time as a whole: some clients may have seen only part of it.
      const page = await readPage({ time });
      tail.extend(page.commits, { time }, page.position);
      for (const reader of readers) give(reader, page);
    } catch (error) {
      // Only the oldest position of the group is certain to be too old.
      for (const reader of readers)
        if (error instanceof HistoryLost && reader.from.time > time) waiting.push(reader);
        else reader.reject(error);
    }
  }

  function give(reader: Reader, { commits, position }: Page): void {
    const { from, resolve, reject } = reader;
    if (position.time < from.time || (position.time === from.time && from.key && !position.key)) {
      setTimeout(() => waiting.push(reader) && next(), 50);
      return;
    }
    const [first, ...others] = commits.filter(({ time }) => time >= from.time);
    if (!from.key || first?.lost !== undefined)
      return resolve({ commits: first ? [first, ...others] : [], position });
    const rest = first?.time === from.time ? restOf(first, from.key) : undefined;
    if (!rest) return reject(new HistoryLost('The position is not in the history.'));
    resolve({ commits: rest.entries.length > 0 ? [rest, ...others] : others, position });
  }

  async function readPage(from: Position): Promise<Page> {
    const commits: Commit[] = [];
    let bytes = 0;
    let position = from;
    const enough = new AbortController();
    for await (const batch of readCommits(followed, from, enough.signal, 10)) {
      for (const commit of batch.commits) {
        commits.push(commit);
        bytes += commit.size;
      }
      position = batch.position;
      if (batch.commits.length === 0 || commits.length >= PAGE || bytes >= PAGE_BYTES) break;
    }
    return { commits, position };
  }

  return { read };
}
