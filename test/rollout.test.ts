import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { drain } from '../src/http/server.ts';
import { follow } from './support/feeds.ts';
import { serve, useApi } from './support/harness.ts';
import { dial } from './support/socket.ts';

/** One version of the program takes the place of another. */

const api = useApi();
const logger = pino({ level: 'silent' });
const ALIVE = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** A client that keeps its connections, as programs and proxies do. */
function client() {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (url: string): Promise<{ status: number | undefined; connection: string | undefined }> =>
    new Promise((resolve, reject) => {
      get(url, { agent }, (answer) => {
        answer.resume();
        answer.on('error', reject);
        answer.on('end', () => resolve({ status: answer.statusCode, connection: answer.headers.connection }));
      }).on('error', reject);
    });
  return { ask, close: () => agent.destroy() };
}

test('no request fails while clients move from a process that stops to the next', async () => {
  const [first, second] = [await serve({ logger }), await serve({ logger })];
  let target = first.url;
  let isOver = false;
  const failures: unknown[] = [];
  let served = 0;
  const clients = Array.from({ length: 8 }, client);
  const loops = clients.map(async ({ ask }, n) => {
    while (!isOver) {
      await ask(`${target}/${n % 2 ? 'books' : 'tags'}`).then(
        ({ status }) => (status === 200 ? served++ : failures.push(status)),
        (error) => failures.push(error),
      );
      await sleep(20 + n);
    }
  });
  // As a load balancer does it.
  const probe = client();
  const balance = (async () => {
    while (target === first.url) {
      if ((await probe.ask(`${first.url}/health/ready`)).status !== 200) target = second.url;
      await sleep(50);
    }
  })();
  await sleep(300);
  await drain(first.server, { delay: 2_500 });
  await sleep(200);
  isOver = true;
  await Promise.all([...loops, balance]);
  expect(failures).toEqual([]);
  expect(served).toBeGreaterThan(20);
  for (const { close } of [...clients, probe]) close();
  await drain(second.server);
});

test('a process that stops says so, and closes each connection with its next answer', async () => {
  const { server, url } = await serve({ logger });
  const [kept, feed] = [await dial(url), await follow(`${url}/books/changes`)];
  kept.send(ALIVE);
  expect((await kept.answer())?.headers['connection']).toBe('keep-alive');
  const drained = drain(server, { delay: 700 });

  const ready = await fetch(`${url}/health/ready`);
  expect(ready.status).toBe(503);
  expect(ready.headers.get('retry-after')).toBe('1');
  expect(await ready.json()).toMatchObject({ code: 'shutting_down' });
  expect((await fetch(`${url}/books`)).status).toBe(200);
  kept.send(ALIVE);
  expect((await kept.answer())?.headers['connection']).toBe('close');
  expect(await kept.ends(500)).toBe(true);
  // A feed that came back at once would come back to this process.
  expect(feed.isOpen()).toBe(true);
  await drained;
  expect(feed.isOpen()).toBe(false);
  await expect(fetch(`${url}/books`)).rejects.toThrow();
  expect((await api.get('/health/ready')).status).toBe(200);
});
