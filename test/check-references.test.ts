import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import mongoose, { Types } from 'mongoose';
import { GUARDS } from '../src/mongo/guards.ts';
import { resources } from '../src/resources/index.ts';
import { checkReferences } from '../src/schema/check.ts';
import { ref, setOf } from '../src/schema/fields.ts';
import { link } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import { aBook, aPost, aTag, aUser } from './support/factories.ts';
import { dbName, mongoUri } from './support/harness.ts';
import { runScript } from './support/process.ts';

const uri = Object.assign(new URL(mongoUri), { pathname: `/${dbName}_check` }).href;
const SCRIPT = 'scripts/check-references.ts';
const run = (...args: string[]) => runScript(SCRIPT, args, { MONGODB_URI: uri });

beforeAll(async () => {
  await mongoose.connect(uri, { bufferCommands: false });
});
beforeEach(async () => {
  await mongoose.connection.dropDatabase();
});
afterAll(async () => {
  await mongoose.connection.dropDatabase();
  await mongoose.disconnect();
});

const collection = (name: string) => mongoose.connection.getClient().db(mongoose.connection.name).collection(name);
const everything = async () =>
  Promise.all([...resources.map((one) => one.collection), GUARDS].map((name) => collection(name).find().sort({ _id: 1 }).toArray()));
const nobody = new Types.ObjectId('0123456789abcdef01234567');
const guard = (name: string, id: Types.ObjectId, stripe: number) => `${name}:${id.toHexString()}:${stripe}`;

describe('what other tools have broken', () => {
  test('is found, with its place', async () => {
    const [tag, fine] = [await aTag(), await aBook()];
    const [book, post] = [await aBook({ tags: [tag._id] }), await aPost({ tags: [tag._id], books: [fine._id] })];
  });
});
