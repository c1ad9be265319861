import type { Server } from 'node:http';
import mongoose, { Types } from 'mongoose';
import { z } from 'zod';
import { accessTo } from '../src/schema/policy.ts';
import { create, read, update } from '../src/http/crud.ts';
import { list } from '../src/http/list.ts';
import { byId, route, type Route } from '../src/http/route.ts';
import { drain } from '../src/http/server.ts';
import { database } from '../src/mongo/connect.ts';
import { differences } from '../src/mongo/differences.ts';
import { readLayout } from '../src/mongo/layout.ts';
import { up } from '../src/mongo/migrate/run.ts';
import { text } from '../src/schema/fields.ts';
import { databaseOf } from '../src/schema/layout.ts';
import type { AnyResource } from '../src/schema/resource.ts';
import * as store from '../src/schema/store.ts';
import { CREDENTIALS, letIn } from './support/callers.ts';
import { dbName, mongoUri, serve } from './support/harness.ts';
import { migrations } from './support/volumes/index.ts';
import { type Name, nameOf, VolumeV1, VolumeV2, VolumeV3 } from './support/volumes/volume.ts';
import { modelOf } from '../src/schema/model.ts';

/**
 * A field becomes another one while the API is in use: the author's name in one piece becomes a given and a family
 * name. Three versions of the program follow each other, two at a time on one database, as in a rolling deployment;
 * clients read and write all along, and must not notice.
 */

/** A trial with more: VOLUMES=200000 npm test -- schema-change */
const COUNT = Number(process.env['VOLUMES'] ?? 2_000);
const servers: Server[] = [];

beforeAll(async () => {
  await mongoose.connect(mongoUri, { dbName: `${dbName}_volumes`, bufferCommands: false });
  await mongoose.connection.dropDatabase();
});
afterAll(async () => {
  await Promise.all(servers.map((server) => drain(server)));
  await mongoose.connection.dropDatabase();
  await mongoose.disconnect();
});

/** One process of one version of the program. */
async function start(
  resource: AnyResource,
  routes: Route[],
): Promise<{ url: string; stop: () => Promise<void> }> {
  const { server, url } = await serve({ resources: [resource], routes });
  servers.push(server);
  return {
    url: `${url}/volumes`,
    stop: () => drain(servers.splice(servers.indexOf(server), 1)[0] as Server),
  };
}

const standard = (resource: typeof VolumeV1 | typeof VolumeV3): Route[] => [
  list(resource as AnyResource, { filter: [], sort: ['title'] as never[] }),
  read(resource as AnyResource),
  create(resource as AnyResource, { example: {} as never }),
  update(resource as AnyResource, { example: {} }),
];

/** The version in between writes both fields, whichever it is given by clients that know one of them. */
const both = ({ author }: { author: string }) => ({ author, name: nameOf(author) });
const { author } = VolumeV1.fields;
const between: Route[] = [
  list(VolumeV2, { filter: [], sort: ['title'] as never[] }),
  read(VolumeV2),
  route({
    method: 'post',
    path: '/volumes',
    operationId: 'createVolume',
    tag: 'volumes',
    summary: 'Create a volume',
    description: 'Writes both fields.',
    policy: accessTo('update', VolumeV2),
    body: { schema: z.strictObject({ title: text(1, 300), author }), example: { title: 'T', author: 'A' } },
    answer: { status: 201, description: 'It', schema: VolumeV2.document, example: VolumeV2.example },
    handler: ({ body }) => store.create(VolumeV2, { ...body, ...both(body) }),
  }),
  route({
    method: 'patch',
    path: '/volumes/{id}',
    operationId: 'updateVolume',
    tag: 'volumes',
    summary: 'Update a volume',
    description: 'Writes both fields.',
    policy: accessTo('update', VolumeV2),
    params: byId(VolumeV2),
    body: { schema: z.strictObject({ author }), example: { author: 'A' } },
    answer: { status: 200, description: 'It', schema: VolumeV2.document, example: VolumeV2.example },
    handler: ({ params, body }) => store.update(VolumeV2, params.id, both(body)),
  }),
];

/** Clients that create, change and read volumes one after the other, until they are told to stop. */
function clients(count: number, ids: string[]) {
  /** The author that was last written to a volume, and acknowledged. */
  const written = new Map<string, string>();
  let urls: { url: string; body: (author: string) => object }[] = [];
  let going = true;
  let requests = 0;
  const send = async (method: string, url: string, body?: object): Promise<any> => {
    const response = await fetch(url, {
      method,
      headers: { authorization: CREDENTIALS, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    requests++;
    const answer = await response.json();
    expect([method, response.status, answer]).toEqual([
      method,
      method === 'POST' ? 201 : 200,
      expect.anything(),
    ]);
    return answer;
  };
  const work = async (client: number) => {
    // Each has volumes of its own: what it wrote last is what must be there.
    const mine = ids.filter((_, i) => i % count === client);
    for (let turn = 0; going; turn++) {
      const { url, body } = urls[turn % urls.length] as (typeof urls)[number];
      const author = `Client${client} Turn${turn}`;
      const id = mine[Math.floor(Math.random() * mine.length)] as string;
      await send('PATCH', `${url}/${id}`, body(author));
      written.set(id, author);
      const created = await send('POST', url, { title: 'New', ...body(author) });
      written.set(created.id, author);
      const seen = await send('GET', `${url}/${id}`);
      expect([seen.author, seen.name]).toContainEqual(seen.name ? nameOf(author) : author);
      expect((await send('GET', `${url}?limit=5`)).items).toHaveLength(5);
    }
  };
  const done = { promise: Promise.resolve() as Promise<unknown> };
  return {
    written,
    requests: () => requests,
    use: (...to: typeof urls) => (urls = to),
    start: () => (done.promise = Promise.all(Array.from({ length: count }, (_, i) => work(i)))),
    stop: () => {
      going = false;
      return done.promise;
    },
  };
}

test(
  'an author in one piece becomes a given and a family name, and nobody notices',
  async () => {
    const inOnePiece = (author: string) => ({ author });
    const inTwo = (author: string): { name: Name } => ({ name: nameOf(author) });
    const upTo = (to: string) => up(database(), migrations, { to });

    await upTo('0001');
    await letIn(database());
    const now = new Date();
    const ids = Array.from({ length: COUNT }, () => new Types.ObjectId());
    for (let start = 0; start < COUNT; start += 5_000)
      await modelOf(VolumeV1).collection.insertMany(
        ids.slice(start, start + 5_000).map((_id, i) => ({
          _id,
          title: `Volume ${start + i}`,
          author: `Given${i} Family${start + i}`,
          createdAt: now,
          updatedAt: now,
        })),
      );
    const first = await start(VolumeV1, standard(VolumeV1));
    const all = clients(4, ids.slice(0, 200).map(String));
    all.use({ url: first.url, body: inOnePiece });
    const working = all.start();
    const some = async () => {
      const target = all.requests() + 24;
      while (all.requests() < target)
        await Promise.race([working, new Promise((resolve) => setTimeout(resolve, 5))]);
    };
    await some();

    // Expand: there may be a name. The version that writes both comes, beside the first and then in its place.
    await upTo('0002');
    const second = await start(VolumeV2, between);
    all.use({ url: first.url, body: inOnePiece }, { url: second.url, body: inOnePiece });
    await some();
    all.use({ url: second.url, body: inOnePiece });
    await some();
    await first.stop();

    // Backfill: every volume gets a name, and from now on must have one. Then an author is no longer needed.
    await upTo('0003');
    await some();
    await upTo('0004');
    const third = await start(VolumeV3, standard(VolumeV3));
    all.use({ url: third.url, body: inTwo });
    await some();
    await second.stop();

    // Contract: the authors go.
    await upTo('0005');
    await some();
    await all.stop();

    const wanted = databaseOf([{ ...VolumeV3, name: 'Volume' } as AnyResource]);
    const left = differences(wanted, await readLayout(database()));
    // The other collections are those of the rest of the program, which these migrations do not make.
    expect(left.filter(({ collection }) => collection === 'volumes')).toEqual([]);
    const volumes = await modelOf(VolumeV3).find().lean();
    expect(volumes.length).toBeGreaterThan(COUNT + 20);
    for (const { _id, title, name, ...rest } of volumes) {
      const number = Number(title.replace('Volume ', ''));
      const author = all.written.get(_id.toHexString()) ?? `Given${number % 5_000} Family${number}`;
      expect(name).toEqual(nameOf(author));
      expect(rest).not.toHaveProperty('author');
    }
  },
  60_000 + 5 * COUNT,
);
