import { setTimeout as sleep } from 'node:timers/promises';
import type { mongo } from 'mongoose';

/**
 * Keeps a long change from slowing down other clients. It constantly reads one document by its id, as a request would;
 * while that takes more than twice as long as before the change began, the pauses between batches grow.
 */
export interface Throttle {
  pause: () => Promise<void>;
  stop: () => void;
}

const PROBES = 20;
const PROBE_EVERY = 25;
const TOLERATED = 2;
/** Milliseconds. Faster reads are imperceptible, and differences among them random. */
const FLOOR = 2;
const LONGEST_PAUSE = 500;

export async function startThrottle(db: mongo.Db, collection: string): Promise<Throttle> {
  const one = await db.collection(collection).findOne({}, { projection: { _id: 1 } });
  const probe = async (): Promise<number> => {
    const start = performance.now();
    await db.collection(collection).findOne({ _id: one?._id } as object, { projection: { _id: 1 } });
    return performance.now() - start;
  };
  const times: number[] = [];
  for (let i = 0; i < PROBES; i++) times.push(await probe());
  const limit = TOLERATED * Math.max(upper(times), FLOOR);

  let going = true;
  let pause = 0;
  void (async () => {
    while (going) {
      times.shift();
      times.push(await probe().catch(() => 0));
      pause = upper(times) > limit ? Math.min(pause * 1.2 + 2, LONGEST_PAUSE) : Math.max(pause * 0.8 - 1, 0);
      await sleep(PROBE_EVERY);
    }
  })();
  return {
    pause: async () => {
      if (pause > 0) await sleep(pause);
    },
    stop: () => {
      going = false;
    },
  };
}

/** The second slowest: a single outlier is chance. */
const upper = (times: number[]): number => times.toSorted((a, b) => b - a)[1] ?? 0;
