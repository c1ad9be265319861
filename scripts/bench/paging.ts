import { parseArgs } from 'node:util';
import { DEMO_PASSWORD } from '../../src/auth/passwords.ts';
import { runProgram, say, UsageError } from '../program.ts';

const USAGE = `Usage: npm run bench:paging -- URL [--limit 100] [--token TOKEN]

Walks all books of a running server (http://127.0.0.1:3000) by cursors, in several orders, forwards and backwards,
while another client creates and removes books; then compares pages near the end with the first one. Every book that
was not touched must be seen exactly once in each direction. Add many books first: npm run seed -- 1000000

  --token   an editor's access token or API key; the demo editor by default. Start the server with a
RATE_LIMIT that is not reached, such as 1000000.`;

const ORDERS = ['-id', 'year', '-year,title', 'title'];
const REPEATS = 40;

interface Page {
  items: { id: string; title: string }[];
  page: { next: string | null; prev: string | null };
}

const CHURN = 'Here today, gone tomorrow';

await runProgram(USAGE, async (stop) => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { limit: { type: 'string', default: '100' }, token: { type: 'string' } },
  });
  const [url] = positionals;
  if (!url) throw new UsageError('Give the URL of the server.');
  const get = async (query: string): Promise<Page> => {
    const response = await fetch(`${url}/books?fields=title&limit=${values.limit}&${query}`);
    if (!response.ok) throw new Error(`${query}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Page;
  };

  const churn = churning(url, values.token ?? (await demoToken(url)));
  let faults = 0;
  for (const sort of ORDERS) {
    const seen = new Map<string, number>();
    const cursors: string[] = [];
    let last: Page | undefined;
    const note = ({ items }: Page) => {
      for (const { id, title } of items) if (title !== CHURN) seen.set(id, (seen.get(id) ?? 0) + 1);
    };
    for (let cursor = ''; !stop.aborted; cursor = `&after=${last.page.next}`) {
      last = await get(`sort=${sort}${cursor}`);
      note(last);
      if (!last.page.next) break;
      cursors.push(last.page.next);
    }
    for (let page = last; page?.page.prev && !stop.aborted; ) {
      page = await get(`sort=${sort}&before=${page.page.prev}`);
      note(page);
    }
    // Forwards and backwards each once; the last page is read only once.
    const lastIds = new Set(last?.items.map(({ id }) => id));
    const wrong = [...seen].filter(([id, times]) => times !== (lastIds.has(id) ? 1 : 2)).length;
    faults += wrong;

    const deep = cursors[Math.floor(cursors.length * 0.9)];
    const [first, far] = [[] as number[], [] as number[]];
    for (let i = 0; i < REPEATS; i++) {
      first.push(await timed(() => get(`sort=${sort}`)));
      far.push(await timed(() => get(`sort=${sort}&after=${deep}`)));
    }
    const [a, b] = [median(first), median(far)];
    say(
      `${sort}: ${seen.size} books, ${wrong} not seen once in each direction; first page ${a.toFixed(1)} ms, page at 90 % ${b.toFixed(1)} ms, ratio ${(b / a).toFixed(2)}`,
    );
  }
  await churn();
  return faults > 0 ? 1 : 0;
});

async function demoToken(url: string): Promise<string> {
  const body = new URLSearchParams({
    grant_type: 'password',
    username: 'mara@example.org',
    password: DEMO_PASSWORD,
  });
  const response = await fetch(`${url}/auth/token`, { method: 'POST', body });
  if (!response.ok) throw new Error('The demo editor cannot log in: give a --token.');
  return ((await response.json()) as { access_token: string }).access_token;
}

/** Creates and removes books until the returned function is called. */
function churning(url: string, token: string): () => Promise<void> {
  let going = true;
  const authorization = `Bearer ${token}`;
  const work = (async () => {
    while (going) {
      const body = JSON.stringify({
        title: CHURN,
        authors: ['Nobody'],
        year: 1500 + Math.floor(Math.random() * 526),
      });
      const created = await fetch(`${url}/books`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body,
      });
      const { id } = (await created.json()) as { id: string };
      await fetch(`${url}/books/${id}`, { method: 'DELETE', headers: { authorization } });
    }
  })();
  return () => {
    going = false;
    return work;
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function median(times: number[]): number {
  return times.sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
}
