import { Agent, request } from 'node:http';
import { CREDENTIALS } from '../../test/support/callers.ts';

/** The request that clients repeat. */
export interface Load {
  name: string;
  url: string;
  body: () => object;
}

export interface Sample {
  /** Requests per second of each round. */
  rates: number[];
  /** Milliseconds of each request. */
  times: number[];
  /** How many answers had each status. */
  statuses: Map<number, number>;
}

/** Runs so many concurrent clients; each sends its next request as soon as it has its answer. */
export async function measure({ url, body }: Load, clients: number, milliseconds: number): Promise<Sample> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const sample: Sample = { rates: [], times: [], statuses: new Map() };
  const start = performance.now();
  const client = async () => {
    while (performance.now() - start < milliseconds) {
      const sent = performance.now();
      const status = await post(url, body(), agent);
      sample.times.push(performance.now() - sent);
      sample.statuses.set(status, (sample.statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  sample.rates.push((sample.times.length / (performance.now() - start)) * 1000);
  agent.destroy();
  return sample;
}

// Not fetch: on a machine shared with the server it would be a large part of the measurement.
const post = (url: string, body: object, agent: Agent): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: 'POST', agent, headers: { authorization: CREDENTIALS, 'content-type': 'application/json' } },
      (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode ?? 0));
        response.once('error', reject);
      },
    );
    sent.once('error', reject);
    sent.end(JSON.stringify(body));
  });

export const merge = (a: Sample | undefined, b: Sample): Sample =>
  a === undefined
    ? b
    : {
        rates: [...a.rates, ...b.rates],
        times: [...a.times, ...b.times],
        statuses: new Map(
          [...a.statuses.keys(), ...b.statuses.keys()].map((status) => [
            status,
            (a.statuses.get(status) ?? 0) + (b.statuses.get(status) ?? 0),
          ]),
        ),
      };

/** The quantile of a sorted list. */
export function quantile(values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}
