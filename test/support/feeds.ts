import { EventEmitter, once } from 'node:events';
import { WebSocket } from 'ws';

/** Clients of the feeds of changes. */

interface Options {
  token?: string | undefined;
  lastEventId?: string | undefined;
}

/** A stream of server-sent events; resolves when the feed has told where it begins. */
export async function follow(url: string, { token, lastEventId }: Options = {}) {
  const controller = new AbortController();
  const response = await fetch(url, {
    signal: controller.signal,
    headers: {
      accept: 'text/event-stream',
      ...(token && { authorization: `Bearer ${token}` }),
      ...(lastEventId && { 'last-event-id': lastEventId }),
    },
  });
  if (response.status !== 200)
    throw Object.assign(new Error(await response.text()), { status: response.status });
  const received: any[] = [];
  const news = new EventEmitter();
  news.setMaxListeners(0);
  let position = lastEventId ?? '';
  let isOpen = true;
  let began!: () => void;
  const beginning = new Promise<void>((resolve) => (began = resolve));

  const read = async () => {
    let text = '';
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += decoder.decode(chunk, { stream: true });
        const blocks = text.split('\n\n');
        text = blocks.pop() as string;
        for (const block of blocks) {
          const fields = Object.fromEntries(
            block
              .split('\n')
              .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
          );
          if (fields['id']) {
            position = fields['id'];
            began();
          }
          if (fields['data']) received.push({ event: fields['event'], ...JSON.parse(fields['data']) });
          news.emit('any');
        }
      }
    } catch {
      // Closed by us, or cut.
    }
    isOpen = false;
    began();
    news.emit('any');
  };
  void read();
  await beginning;

  return {
    received,
    isOpen: () => isOpen,
    position: () => position,
    close: () => controller.abort(),
    /** The next so many events. */
    async events(count: number, patience = 15_000): Promise<any[]> {
      const limit = AbortSignal.timeout(patience);
      while (received.length < count) {
        if (!isOpen) throw new Error(`The feed has ended: ${JSON.stringify(received)}`);
        await once(news, 'any', { signal: limit }).catch(() => {
          throw new Error(`Only ${received.length} of ${count} events: ${JSON.stringify(received)}`);
        });
      }
      return received.splice(0, count).map(({ event, ...data }) => data);
    },
    /** Resolves when the server has ended the stream. */
    async ended(patience = 15_000): Promise<any[]> {
      const limit = AbortSignal.timeout(patience);
      while (isOpen) await once(news, 'any', { signal: limit });
      return received;
    },
  };
}

/** A WebSocket; rejects with status and body where it is refused. */
export async function openSocket(url: string, { headers }: { headers?: Record<string, string> } = {}) {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), { ...(headers && { headers }) });
  const received: any[] = [];
  const news = new EventEmitter();
  let code: number | undefined;
  socket.on('message', (data) => {
    received.push(JSON.parse((data as Buffer).toString()));
    news.emit('any');
  });
  socket.on('close', (given) => {
    code = given;
    news.emit('any');
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
    socket.on('unexpected-response', (_, response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk));
      response.on('end', () => reject({ status: response.statusCode, body }));
    });
  });
  return {
    send: (message: object) => socket.send(JSON.stringify(message)),
    close: () => socket.terminate(),
    async next(): Promise<any> {
      const limit = AbortSignal.timeout(15_000);
      while (received.length === 0) await once(news, 'any', { signal: limit });
      return received.shift();
    },
    async closed(): Promise<number> {
      const limit = AbortSignal.timeout(15_000);
      while (code === undefined) await once(news, 'any', { signal: limit });
      return code;
    },
  };
}
