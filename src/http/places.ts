import { caller } from '../auth/caller.ts';
import { origin } from '../auth/origin.ts';
import { Problem } from '../errors.ts';

/** Limits on concurrent work, for the process and for each client. */

interface Limits {
  /** Places of this process. */
  total: number;
  /** Places that one client may take. */
  each: number;
  /** How long a request waits for a place, in milliseconds. */
  patience: number;
}

interface Waiting {
  client: string;
  start: () => void;
}

/** The client that places are counted for: an account, or else an address. */
export const client = (): string => caller().id?.toHexString() ?? origin()?.networks[0] ?? '';

/**
 * Returns a function that runs work in a place. If none is free, the work waits; the next place goes to the client
 * that has the fewest. Work that would wait too long, estimated from recent turns, is refused at once.
 */
export function places({ total, each, patience }: Limits) {
  const taken = new Map<string, number>();
  const queue: Waiting[] = [];
  let free = total;
  /** The mean time between turns while there is a queue, in milliseconds. */
  let pace = 0;
  let lastTurn = 0;

  const has = (client: string): number => taken.get(client) ?? 0;

  function take(client: string): void {
    free--;
    taken.set(client, has(client) + 1);
  }

  function giveBack(client: string): void {
    free++;
    if (has(client) > 1) taken.set(client, has(client) - 1);
    else taken.delete(client);
    next()?.start();
  }

  function next(): Waiting | undefined {
    let chosen: Waiting | undefined;
    for (const one of queue)
      if (has(one.client) < each && (!chosen || has(one.client) < has(chosen.client))) chosen = one;
    return chosen;
  }

  /** How long work of this client would wait: with n clients waiting, each gets about every nth turn. */
  function delay(client: string): number {
    const own = queue.filter((one) => one.client === client).length;
    const clients = new Set(queue.map((one) => one.client)).size;
    // If no turn has come for a while, the pace is slower than recent turns suggest.
    const now = Math.max(pace, performance.now() - lastTurn);
    return Math.min(queue.length, (own + 1) * clients) * now;
  }

  const turn = (client: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        queue.splice(queue.indexOf(one), 1);
      };
      const one: Waiting = {
        client,
        start: () => {
          leave();
          take(client);
          pace += (performance.now() - lastTurn - pace) / 8;
          lastTurn = performance.now();
          resolve();
        },
      };
      const timer = setTimeout(() => {
        leave();
        reject(overloaded(queue.length + 1, total));
      }, patience);
      if (queue.length === 0) lastTurn = performance.now();
      queue.push(one);
    });

  return async <T>(work: () => Promise<T>): Promise<T> => {
    const who = client();
    if (free > 0 && has(who) < each) take(who);
    else if (delay(who) > patience) throw overloaded(queue.length, total);
    else await turn(who);
    try {
      return await work();
    } finally {
      giveBack(who);
    }
  };
}

const overloaded = (waiting: number, total: number): Problem =>
  new Problem('overloaded', 'The server is overloaded; try again soon.', {
    cause: `${waiting} requests are waiting for ${total} places.`,
  });
